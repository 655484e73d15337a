"""Files as strangers leave them and as we write them: whole or not at all, within limits, never through a link."""
