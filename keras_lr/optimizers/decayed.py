"""Eight Keras optimizers with one addition: the learning rate decays in every update.

Each class is the Keras optimizer of the same name with `InverseTimeDecay` in front. In update
i = 0, 1, ...

    lr_i = lr / (1 + decay * i)

takes the place of the learning rate, in the step and in decoupled weight decay. With `decay=0` the
weights are bit for bit those of the Keras optimizer.
"""

from __future__ import annotations

import keras

from keras_lr.optimizers.decay import InverseTimeDecay, backend_class
from keras_lr.optimizers.epsilon import AdagradOutsideRoot, RMSpropOutsideRoot
from keras_lr.optimizers.nadam import ScheduledNadam

_registered = keras.saving.register_keras_serializable(package="keras_lr")


@_registered
class Adam(InverseTimeDecay, backend_class(keras.optimizers.Adam)):  # type: ignore[misc]
    """Adam with Keras 2's `lr` and `decay`: `lr_i = lr / (1 + decay * i)` in update i = 0, 1, ...

    `decay` counts updates, not epochs: with `decay=1e-2` the learning rate is halved after 100
    updates. Under `gradient_accumulation_steps=k` one update is k batches. The other decaying
    optimizers of this module take the same arguments and have the same attributes.

    Args:
        lr: Learning rate of the first update, at least 0; ints and NumPy scalars are converted. A
            `LearningRateSchedule` is passed on to Keras and needs `decay=0`. Default: that of the
            Keras optimizer of the same name (0.001; SGD: 0.01). The only positional argument, since
            the second one was `beta_1`, `momentum` or `rho` in Keras and would be mistaken.
        decay: Decay per update, at least 0. Default 0, as in Keras 2: none.
        learning_rate: Keras' name for `lr`; pass one of the two.
        **keras_arguments: All other arguments of the Keras optimizer: `beta_1`, `amsgrad`,
            `weight_decay`, `clipnorm`, `gradient_accumulation_steps`, ... `epsilon=None` means the
            default, 1e-7, as in Keras 2.

    Attributes:
        lr: float, the base learning rate; settable, in mid-training too, without a retrace.
        decay: float; settable in the same way. After n updates the next one uses
            `lr / (1 + decay * n)`, as if `decay` had been so from the start.
        effective_learning_rate: float, what the next update will use; for logs. Read only.
        learning_rate: what Keras' callbacks read and write: the base, as a variable. It is not the
            effective value, since a callback such as `ReduceLROnPlateau` multiplies what it reads
            and writes it back, and the decay would be applied twice.

    Methods:
        decay_off: Context manager: constant learning rate inside, `decay` put back bit for bit.

    Raises:
        TypeError: If `lr` or `decay` is not a number, if another argument is not of the kind that
            Keras asks for, if more than `lr` is positional, or if `lr` is set while a schedule is
            in force.
        ValueError: If one is negative, NaN or not finite in float32, if another argument is unknown
            or out of its range, if both `lr` and `learning_rate` are given,
            or if `decay` is above 0 with a schedule.
        RuntimeError: On JAX, if one is read or set between the batches of `fit` through a kept
            reference, where Keras would ignore it; `self.model.optimizer` in a callback works.

    Example:
        >>> import keras
        >>> from keras_lr import Adam
        >>> optimizer = Adam(lr=1e-3, decay=1e-2)
        >>> weight = keras.Variable(1.0)
        >>> for _ in range(100):
        ...     optimizer.apply([keras.ops.ones(())], [weight])
        >>> optimizer.lr, round(optimizer.effective_learning_rate, 6)
        (0.001, 0.0005)
        >>> optimizer.decay = 0
        >>> optimizer.effective_learning_rate
        0.001

    Reference:
        Keras 2.2.4, `keras.optimizers.Adam`. Kingma and Ba, arXiv:1412.6980, Algorithm 1, in the
        form before Section 2.1. Reddi et al., arXiv:1904.09237, for `amsgrad`.
    """


@_registered
class AdamW(InverseTimeDecay, backend_class(keras.optimizers.AdamW)):  # type: ignore[misc]
    """Adam with decoupled weight decay and `lr_i = lr / (1 + decay * i)`; see `Adam`.

    `weight_decay` (default 0.004, Keras') shrinks the weights by `1 - weight_decay * lr_i`: it is
    scaled by the decayed learning rate. `decay` is no weight decay.

    Args:
        lr: As in `Adam`; default 0.001.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        **keras_arguments: All other arguments of `keras.optimizers.AdamW`,
            such as `weight_decay` and `clipnorm`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`.

    Example:
        >>> from keras_lr.optimizers import AdamW
        >>> AdamW(lr=1e-3, decay=1e-4, weight_decay=0.01).decay
        0.0001

    Reference:
        Loshchilov and Hutter, arXiv:1711.05101, Algorithm 2, with lr_i for the schedule.
    """


@_registered
class Nadam(InverseTimeDecay, ScheduledNadam):
    """Nadam with `lr_i = lr / (1 + decay * i)` and a choice of momentum schedule; see `Adam`.

    The momentum of update t = 1, 2, ... is `beta_1 * (1 - 0.5 * 0.96 ** (schedule_decay * t))`.

    Args:
        lr: As in `Adam`; default 0.001.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        schedule_decay: Speed of the momentum's rise, at least 0. Default 1.0: that of Keras 3, done
            in some 100 updates. The paper and Keras 2 have 0.004, which takes some 25,000.
        **keras_arguments: All other arguments of `keras.optimizers.Nadam`.

    Raises:
        TypeError: As in `Adam`, and if `schedule_decay` is not a number.
        ValueError: As in `Adam`, and if `schedule_decay` is negative, NaN or infinite.

    Example:
        >>> from keras_lr.optimizers import Nadam
        >>> Nadam(lr=0.002, schedule_decay=0.004).schedule_decay
        0.004

    Reference:
        Dozat, "Incorporating Nesterov Momentum into Adam" (2016), Algorithm 2 and Section 3.
    """


@_registered
class SGD(InverseTimeDecay, backend_class(keras.optimizers.SGD)):  # type: ignore[misc]
    """Gradient descent with momentum and `lr_i = lr / (1 + decay * i)`; see `Adam`.

    Args:
        lr: As in `Adam`; default 0.01.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        **keras_arguments: All other arguments of `keras.optimizers.SGD`,
            such as `momentum` and `nesterov`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`.

    Example:
        >>> from keras_lr.optimizers import SGD
        >>> SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True).lr
        0.01

    Reference:
        Keras 2.2.4, `keras.optimizers.SGD`.
    """


@_registered
class RMSprop(InverseTimeDecay, RMSpropOutsideRoot):
    """RMSprop with `lr_i = lr / (1 + decay * i)` and a choice of where epsilon is; see `Adam`.

    With `v` the mean of squared gradients, Keras 3 divides by `sqrt(v + epsilon)`, at least 3e-4 by
    default; Keras 2 divided by `sqrt(v) + epsilon`, at least 1e-7.

    Args:
        lr: As in `Adam`; default 0.001.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        epsilon_outside_root: bool. True is the update of Keras 2, plain only: neither `momentum`
            nor `centered`, and on torch one weight at a time. Default False: that of Keras 3.
        **keras_arguments: All other arguments of `keras.optimizers.RMSprop`,
            such as `rho` and `centered`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`, and if `epsilon_outside_root` is not a bool or comes with
            `momentum` or `centered`.

    Example:
        >>> from keras_lr.optimizers import RMSprop
        >>> RMSprop(lr=1e-3, decay=1e-4, rho=0.9, epsilon_outside_root=True).lr
        0.001

    Reference:
        Keras 3, `keras.optimizers.RMSprop`, for the update; Keras 2.2.4 for `lr` and `decay`, and
        for the update with `epsilon_outside_root`.
    """


@_registered
class Adagrad(InverseTimeDecay, AdagradOutsideRoot):
    """Adagrad with `lr_i = lr / (1 + decay * i)` and a choice of where epsilon is; see `Adam`.

    With `a` the sum of squared gradients, Keras 3 divides by `sqrt(a + epsilon)`, `a` starting at
    0.1; Keras 2 divided by `sqrt(a) + epsilon`, `a` starting at 0.

    Args:
        lr: As in `Adam`; default 0.001, as in Keras 3; Keras 2 had 0.01.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        epsilon_outside_root: bool. True is the update of Keras 2, with
            `initial_accumulator_value=0`; on torch one weight at a time. Default False: that of
            Keras 3.
        **keras_arguments: All other arguments of `keras.optimizers.Adagrad`,
            such as `initial_accumulator_value`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`, and if `epsilon_outside_root` is not a bool.

    Example:
        >>> from keras_lr.optimizers import Adagrad
        >>> Adagrad(lr=0.01, decay=1e-4).lr
        0.01

    Reference:
        Keras 3, `keras.optimizers.Adagrad`, for the update; Keras 2.2.4 for `lr` and `decay`, and
        for the update with `epsilon_outside_root`. Duchi et al., JMLR 12 (2011), 2121-2159.
    """


@_registered
class Adadelta(InverseTimeDecay, backend_class(keras.optimizers.Adadelta)):  # type: ignore[misc]
    """Adadelta with `lr_i = lr / (1 + decay * i)`; see `Adam`.

    The default of `lr` is Keras 3's 0.001; the paper and Keras 2 have 1.0.

    Args:
        lr: As in `Adam`; default 0.001, as in Keras 3.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        **keras_arguments: All other arguments of `keras.optimizers.Adadelta`, such as `rho`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`.

    Example:
        >>> from keras_lr.optimizers import Adadelta
        >>> Adadelta(lr=1.0, decay=1e-4).lr
        1.0

    Reference:
        Keras 2.2.4, `keras.optimizers.Adadelta`. Zeiler, arXiv:1212.5701.
    """


@_registered
class Adamax(InverseTimeDecay, backend_class(keras.optimizers.Adamax)):  # type: ignore[misc]
    """Adamax with `lr_i = lr / (1 + decay * i)`; see `Adam`.

    Args:
        lr: As in `Adam`; default 0.001, as in Keras 3; Keras 2 had 0.002.
        decay: As in `Adam`.
        learning_rate: As in `Adam`.
        **keras_arguments: All other arguments of `keras.optimizers.Adamax`, such as `beta_1`.

    Raises:
        TypeError: As in `Adam`.
        ValueError: As in `Adam`.

    Example:
        >>> from keras_lr.optimizers import Adamax
        >>> Adamax(lr=0.002, decay=1e-4).lr
        0.002

    Reference:
        Keras 2.2.4, `keras.optimizers.Adamax`. Kingma and Ba, arXiv:1412.6980, Algorithm 2.
    """
