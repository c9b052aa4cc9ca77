"""What `make` runs. Imports the packages; imported by none of them."""
