"""What is fetched from elsewhere, checked and kept."""
