"""The parts of a compiled model; building what Keras on TensorFlow leaves to the first step."""

from collections.abc import Callable
from itertools import chain
from typing import Any, Literal

import keras
from keras.src.losses.loss import unscale_loss_for_distribution

from keras_lr._keras.backend import ON_TENSORFLOW, ON_TORCH, strategy_scope
from keras_lr._keras.data import Batch
from keras_lr._keras.kept import kept_with_step


def layers_of(model: Any) -> list[Any]:
    """Return a model and the layers in it, at any depth."""
    return list(model._flatten_layers())


def loss_tracker(model: Any) -> Any:
    """Return the running mean of a compiled model's loss; None without one."""
    return vars(model).get("_loss_tracker")


def has_compiled_loss(model: Any) -> bool:
    """Return whether a model is compiled with a loss."""
    return model._compile_loss is not None


def metrics_are_built(model: Any) -> bool:
    """Return whether the losses and metrics that a model is compiled with have their names."""
    parts = (model._compile_loss, model._compile_metrics)
    return all(part is None or part.built for part in parts)


def compute_loss(model: Any, *arguments: Any, training: bool) -> Any:
    """Return the loss of `(x, y, y_pred, sample_weight)`, as a compiled step reports it.

    Under a strategy of TensorFlow the loss is the part of one replica in the sum of all.
    """
    return unscale_loss_for_distribution(model._compute_loss(*arguments, training=training))


def compile_config(model: Any) -> dict[str, Any]:
    """Return the arguments a model is compiled with, as it was given them."""
    config: dict[str, Any] = model._compile_config.config
    return config


def takes_training(model: Any) -> bool:
    """Return whether a model's `call` has an argument `training`."""
    return bool(model._call_has_training_arg)


def direction_of(metric: Any) -> Literal["min", "max"] | None:
    """Return `"min"` or `"max"` for a metric that says which is better."""
    if not getattr(metric, "_direction", None):
        return None
    return "max" if metric._direction == "up" else "min"


def build(model: Any, batches: Any) -> Any:
    """Create the variables that `fit`'s first step would create: the model's, then the optimizer's.

    On JAX and torch `fit` has done so before any callback runs, and this finds nothing to do.

    Args:
        model: A compiled model with a train function.
        batches: The `tf.data` iterator that `fit` hands to the train function, of which no batch is
            taken; or the generator of one batch that `train_on_batch` hands over.

    Returns:
        An iterator over the same batches.
    """
    if not ON_TENSORFLOW or _is_built(model):
        return batches
    if hasattr(batches, "element_spec"):
        build_on(model, keras.tree.map_structure(_spec, batches.element_spec))
        return batches
    first = next(batches)
    build_on(model, first)
    return chain([first], batches)


def build_optimizer(model: Any) -> None:
    """Create the variables of a built model's optimizer, unless there are."""
    if not model.optimizer.built:
        with strategy_scope(model):
            model.optimizer.build(model.trainable_variables)


def build_on(model: Any, batch: Batch) -> None:
    """Do the same for a batch, or a structure of `tf.TensorSpec`, as the step is given it.

    As in `fit`, the training step itself says what there is to build: a model with a step of its
    own need not have a `call`. The step is traced for that, and not run.
    """
    if not ON_TENSORFLOW or _is_built(model):
        return
    import tensorflow as tf

    step = tf.autograph.experimental.do_not_convert(lambda data: model.train_step(data))
    tf.function(step).get_concrete_function(batch)
    build_optimizer(model)  # the step may have updates of its own
    # Without a `call` a model never counts as built.
    kept_with_step(model)["traced"] = True


def training_forward(model: Any) -> Callable[[Any], Any]:
    """Return a forward pass in training mode, which moves the states of layers; compiled once.

    Args:
        model: A built model, whose variables hold their values.
    """
    if ON_TORCH or model.run_eagerly:
        return lambda x: model(x, training=True)
    if ON_TENSORFLOW:
        import tensorflow as tf

        call = tf.autograph.experimental.do_not_convert(lambda x: model(x, training=True))
        return tf.function(call, reduce_retracing=True)  # type: ignore[no-any-return]
    import jax

    @jax.jit
    def moved(trainable: Any, other: Any, x: Any) -> Any:
        return model.stateless_call(trainable, other, x, training=True)[1]

    def forward(x: Any) -> None:
        trainable = [variable.value for variable in model.trainable_variables]
        other = [variable.value for variable in model.non_trainable_variables]
        values = moved(trainable, other, x)
        for variable, value in zip(model.non_trainable_variables, values, strict=True):
            variable.assign(value)

    return forward


def _is_built(model: Any) -> bool:
    metrics = model._compile_metrics
    parts = [*layers_of(model), model.optimizer, *([metrics] if metrics is not None else [])]
    return all(part.built for part in parts) or "traced" in kept_with_step(model)


def _spec(spec: Any) -> Any:
    import tensorflow as tf

    # An empty optional stands for a None in the data.
    return None if isinstance(spec, tf.OptionalSpec) else spec
