"""A page on the user's own machine: parents in, the weight turned, creatures kept. The one room that knows Gradio."""
