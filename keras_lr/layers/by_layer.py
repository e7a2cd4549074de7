"""`by_layer`: an optimizer with a factor on its learning rate for each group of layers."""

from __future__ import annotations

from typing import Any

import keras

from keras_lr._keras.optimizers import trained_variables
from keras_lr._keras.versions import is_optimizer
from keras_lr.errors import complaint
from keras_lr.layers.groups import Decay, Factors, division_of
from keras_lr.layers.weights import weights_to_divide
from keras_lr.optimizers.by_layer import ByLayer, divided
from keras_lr.optimizers.division import OWNER


def by_layer(
    optimizer: keras.Optimizer | str,
    model: keras.Model,
    factors: Factors = None,
    *,
    weight_decay: Decay = None,
) -> Any:
    r"""Return an optimizer with a factor on its learning rate for each group of a model's layers.

    A weight of group $g$ is updated by the optimizer's own rule with the learning rate
    $f_g \cdot \eta$, where $\eta$ is `optimizer.learning_rate`, a number or a schedule; so is its
    decoupled weight decay. With the same rate a plain Keras optimizer makes the same update, to
    the bit, up to the rounding of XLA. Clipping, accumulation and averaging are over all groups.

    There is still one learning rate, `optimizer.learning_rate`. What schedules, tunes or searches
    it moves the groups in proportion: in this library, in Keras and in code of one's own.

    The factors are variables of the optimizer. `model.optimizer.factors = {"backbone": 0.0}` sets
    one from the next update on, without compiling anything anew; 0 freezes a group. Unlike
    `trainable=False`, that leaves gradients to be computed and to count in `global_clipnorm`, and
    `BatchNormalization` goes on normalising by batches: `Unfreeze` puts it in inference mode.

    A saved model is loaded with its groups; `import keras_lr` first. The optimizer has one variable
    for each group more than the one without, whose checkpoints it can load.

    Args:
        optimizer: Any Keras optimizer, or its name; also one that scales the loss. It is not
            changed. A `MultiOptimizer` has groups already and is refused.
        model: The model it is to train, with all its weights, so that their layers are known.
        factors: The groups and their factors, at least 0, one of them above. A dict; a function
            that returns the factor of a `keras.Variable`; or what `geometric` or `layer_decay`
            returns. None for one group of all weights. The keys of a dict are

            - the name of a layer, its path in the model such as `"backbone/conv1"`, or the
              attribute of a subclassed model that holds it or a list of layers;
            - where that matches nothing, the beginning of a name or path: `"block1"` is
              `"block1_conv1"`, `"block1_pool"`, but not `"block10_conv1"`;
            - a pattern of `fnmatch` for these or for paths of weights: `"conv*"`, `"*/bias"`;
            - a layer;
            - a function that is True for a `keras.Variable`;
            - a tuple of these, which is one group, named after the first;
            - `"rest"`, all that no other key matches. Without it, that has a factor of 1.

        weight_decay: The weight decay by group, in place of the optimizer's: a dict with keys of
            the same kinds and values of at least 0. What is in none keeps that of the optimizer.
            Or `"kernels"`: the optimizer's own on kernels and embeddings, none on biases and
            normalisation.

    Returns:
        A new optimizer of a class derived from that of `optimizer`, to be passed to `compile`. If
        `optimizer` has been training all that the model trains now, with its state.

        - `factors`: dict of the factors by group; assign a dict to change some.
        - `learning_rates`: dict of the learning rates by group.
        - `groups`: dict of the paths of the weights by group, in the order of the model.

    Raises:
        TypeError: If an argument or a factor is of no use for its type.
        ValueError: If a key matches no weights, a weight is in two groups, a factor is negative or
            not finite, all are 0, the optimizer has groups already, or the model has no weights
            yet. When training begins, if the model has got new layers since.

    Example:
        >>> import keras
        >>> from keras_lr import by_layer
        >>> layers = [keras.Input((4,)), keras.layers.Dense(8)]
        >>> backbone = keras.Sequential(layers, name="backbone")
        >>> model = keras.Sequential([backbone, keras.layers.Dense(1, name="head")])
        >>> optimizer = by_layer(
        ...     keras.optimizers.SGD(0.5), model, {"backbone": 0.125, "head": 1.0}
        ... )
        >>> model.compile(optimizer, "mse")
        >>> optimizer.learning_rates
        {'backbone': 0.0625, 'head': 0.5}

    Reference:
        Howard and Ruder, arXiv:1801.06146, Section 3.2, discriminative fine-tuning.
    """
    if not isinstance(optimizer, keras.Optimizer | str):
        rule, fix = "optimizer must be one of Keras', or its name", "Pass keras.optimizers.AdamW()"
        raise TypeError(complaint(OWNER, rule, fix, optimizer=optimizer))
    weights = weights_to_divide(OWNER, model)
    optimizer = keras.optimizers.get(optimizer)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        config = optimizer.get_config()
        config["inner_optimizer"] = by_layer(inner, model, factors, weight_decay=weight_decay)
        return type(optimizer)(**config)
    if isinstance(optimizer, ByLayer) or is_optimizer(optimizer, "MultiOptimizer"):
        rule = "an optimizer can be given groups only once"
        fix = "Pass a plain one, such as keras.optimizers.AdamW()"
        raise ValueError(complaint(OWNER, rule, fix, optimizer=type(optimizer).__name__))
    own = optimizer.weight_decay or 0.0
    division, reference = division_of(weights, factors, weight_decay, own)
    made = divided(optimizer, division)
    if reference != own:
        made.weight_decay = reference
    trained = [id(variable) for variable in model.trainable_variables]
    if optimizer.built and [id(each) for each in trained_variables(optimizer)] == trained:
        made.take_state(optimizer)
    return made
