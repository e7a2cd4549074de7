"""What drives a learning rate during `fit`: callbacks, and the controller that needs no Keras."""
