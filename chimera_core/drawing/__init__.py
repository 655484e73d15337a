"""How fusers draw by an optimiser on a CPU: a frozen encoder made quick, by one thread that keeps its memory."""
