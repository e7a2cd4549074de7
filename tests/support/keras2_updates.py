"""The published updates as Keras 2.2 ran them, in NumPy and float64: the oracle of the optimizers.

Each function returns what is subtracted from the weights in update i = 0, 1, ...; `state` is a
dictionary of its own that starts empty. The symbols are those of the papers.
"""

import numpy as np


def follow(update, start, gradient, updates):
    """Return the weights before the first and after each update, of shape (updates + 1, n)."""
    state, path = {}, [np.array(start, "float64")]
    for i in range(updates):
        path.append(path[-1] - update(gradient(i, path[-1]), i, state))
    return np.array(path)


def hyperbolic(lr, decay, i):
    return lr / (1 + decay * i)


def sgd(g, i, state, *, lr=0.01, decay=0.0, momentum=0.0, nesterov=False):
    rate = hyperbolic(lr, decay, i)
    state["v"] = momentum * state.get("v", 0.0) - rate * g
    return -(momentum * state["v"] - rate * g if nesterov else state["v"])


def adam(
    g, i, state, *, lr=0.001, decay=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False
):
    t = i + 1
    alpha = hyperbolic(lr, decay, i) * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * g**2
    state["v_hat"] = np.maximum(state.get("v_hat", 0.0), state["v"])
    return alpha * state["m"] / (np.sqrt(state["v_hat" if amsgrad else "v"]) + epsilon)


def adamax(g, i, state, *, lr=0.002, decay=0.0, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    state["u"] = np.maximum(beta_2 * state.get("u", 0.0), np.abs(g))
    rate = hyperbolic(lr, decay, i) / (1 - beta_1 ** (i + 1))
    return rate * state["m"] / (state["u"] + epsilon)


def nadam(g, i, state, *, lr=0.002, beta_1=0.9, beta_2=0.999, epsilon=1e-7, schedule_decay=0.004):
    t = i + 1
    mu, mu_next = (beta_1 * (1 - 0.5 * 0.96 ** (schedule_decay * s)) for s in (t, t + 1))
    state["product"] = state.get("product", 1.0) * mu
    state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * g
    state["v"] = beta_2 * state.get("v", 0.0) + (1 - beta_2) * g**2
    mean = (1 - mu) * g / (1 - state["product"])
    mean += mu_next * state["m"] / (1 - state["product"] * mu_next)
    return lr * mean / (np.sqrt(state["v"] / (1 - beta_2**t)) + epsilon)


def rmsprop(g, i, state, *, lr=0.001, decay=0.0, rho=0.9, epsilon=1e-7):
    state["v"] = rho * state.get("v", 0.0) + (1 - rho) * g**2
    return hyperbolic(lr, decay, i) * g / (np.sqrt(state["v"]) + epsilon)


def adagrad(g, i, state, *, lr=0.01, decay=0.0, epsilon=1e-7):
    state["v"] = state.get("v", 0.0) + g**2
    return hyperbolic(lr, decay, i) * g / (np.sqrt(state["v"]) + epsilon)


def adadelta(g, i, state, *, lr=1.0, decay=0.0, rho=0.95, epsilon=1e-7):
    state["v"] = rho * state.get("v", 0.0) + (1 - rho) * g**2
    step = g * np.sqrt(state.get("d", 0.0) + epsilon) / np.sqrt(state["v"] + epsilon)
    state["d"] = rho * state.get("d", 0.0) + (1 - rho) * step**2
    return hyperbolic(lr, decay, i) * step
