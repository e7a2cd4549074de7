"""What happens around one training step, without private names of Keras."""
