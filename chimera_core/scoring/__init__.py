"""What a picture is worth: distances between sets of images, and where a creature stands between its parents."""
