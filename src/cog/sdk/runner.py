"""The classes that a model derives from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cog.sdk.scope import Scope, current_scope


class BaseRunner:
    """A model: `setup()` loads it once, `run()` is called for each prediction."""

    if TYPE_CHECKING:
        # A model's setup() may be async and may do without `weights`: to a type-checker every form is fine.
        def setup(self, *args: Any, **kwargs: Any) -> Any:
            """Prepare the model."""
    else:

        def setup(self, weights: str | None = None) -> None:
            """Prepare the model, once for each worker process, before the first prediction.

            `weights` is what the variable COG_WEIGHTS says, None without it: a `Path` where it is declared as one, which of
            a URL is fetched by its `convert()`, else the text. A model that does not declare the parameter is not passed it.
            """

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Make one prediction. Every model defines this.

        Raises:
            NotImplementedError: the model defines neither `run()` nor `predict()`.
        """
        if type(self).predict is not BaseRunner.predict:
            return self.predict(*args, **kwargs)
        raise NotImplementedError(
            f"{type(self).__name__} has no run() method: define one that returns the output."
        )

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """The old name of `run()`; it still calls it. Deprecated."""
        warnings.warn("predict() is deprecated: call run() instead.", DeprecationWarning, stacklevel=2)
        return self.run(*args, **kwargs)

    @property
    def scope(self) -> Scope:
        """The prediction that is running; outside one, a scope in which nothing has an effect."""
        return current_scope()

    def record_metric(self, key: str, value: object, mode: str = "replace") -> None:
        """Record a figure of the running prediction; see `Scope.record_metric` for the rules and errors."""
        current_scope().record_metric(key, value, mode)


class BasePredictor(BaseRunner):
    """The old name of `BaseRunner`. Deprecated."""
