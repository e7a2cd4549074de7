"""The storage of a study, opened; what goes wrong with it, in one error."""

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from keras_lr.errors import complaint

_LONGEST_REASON = 100
# Beside its own errors and those of the database, opening a damaged storage raises what Optuna
# comes upon in it: missing entries, text that is not JSON, another version.
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AssertionError, RuntimeError, ImportError)


def open_study(owner: str, optuna: ModuleType, storage: Any, study_name: Any, pruner: Any) -> Any:
    """Return the study of a name, a new one where there is none.

    Raises:
        TypeError: If `storage` or `study_name` is nothing that Optuna takes.
        ValueError: If the storage cannot be opened.
    """
    known = storage is None or isinstance(storage, str | optuna.storages.BaseStorage)
    if not known:
        rule = "storage must be a URL or an Optuna storage"
        fix = 'Pass "sqlite:///tune.db", say, or None to keep the study in memory'
        raise TypeError(complaint(owner, rule, fix, storage=storage))
    if not isinstance(study_name, str):
        rule = "study_name must be a string"
        raise TypeError(complaint(owner, rule, "Pass a name", study_name=study_name))
    options = {"study_name": study_name, "pruner": pruner, "load_if_exists": True}
    try:
        study = optuna.create_study(storage=storage, **options)
        study.get_trials(deepcopy=False)
        return study
    except storage_errors(optuna) + _DAMAGES as error:
        raise ValueError(_unusable(owner, storage, error)) from error


@contextlib.contextmanager
def storage_watched(owner: str, optuna: ModuleType, storage: Any) -> Iterator[None]:
    """Let what goes wrong with a storage while it is in use be one clear error."""
    try:
        yield
    except storage_errors(optuna) as error:
        raise ValueError(_unusable(owner, storage, error)) from error


def storage_errors(optuna: Any) -> tuple[type[Exception], ...]:
    """Return what Optuna, and the database behind it, raise of a storage."""
    database: Any = sys.modules.get("sqlalchemy.exc")
    own: tuple[type[Exception], ...] = (optuna.exceptions.StorageInternalError,)
    return own if database is None else (*own, database.SQLAlchemyError)


def _unusable(owner: str, storage: Any, error: Exception) -> str:
    cause = error.__cause__ if error.__cause__ is not None else error
    said = str(cause).splitlines() or [""]
    reason = f"{type(cause).__name__}: {said[0]}"[:_LONGEST_REASON]
    rule = f"the storage cannot be used ({reason})"
    fix = "It may be damaged, locked, or no storage at all: pass another one"
    return complaint(
        owner, rule, fix, storage=storage if isinstance(storage, str) else type(storage)
    )
