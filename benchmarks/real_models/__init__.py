"""Models in the forms that people bring, and the searches on each of them."""
