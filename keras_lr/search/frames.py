"""pandas, for results that can be tables; asked for only then."""

from types import ModuleType

from keras_lr.errors import complaint


def import_pandas(owner: str) -> ModuleType:
    """Return pandas, or say how to install it.

    Args:
        owner: The public name the user called.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        rule, fix = "a data frame needs pandas", "Run `pip install pandas`, or use to_dict()"
        raise ImportError(complaint(owner, rule, fix, pandas=None)) from error
    module: ModuleType = pd
    return module
