"""The host: the only place that knows Keras' private names."""
