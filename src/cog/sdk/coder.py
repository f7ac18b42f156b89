"""`Coder`: how values of a type of your own go through JSON."""

from __future__ import annotations

from typing import ClassVar, TypeVar

AnyCoder = TypeVar("AnyCoder", bound="type[Coder]")


class Coder:
    """Turns the values of some type into JSON objects and back, so that inputs and outputs of `run()` can have that type.

    Derive from it and register the class, in the file of the model, before `run()` is declared or after:

        @Coder.register
        class PointCoder(Coder):
            @staticmethod
            def factory(tpe):
                return PointCoder() if tpe is Point else None

            def encode(self, value):
                return {"x": value.x, "y": value.y}

            def decode(self, value):
                return Point(value["x"], value["y"])

    It is asked for types that have no rule of their own only: not for text, numbers, lists, dataclasses, pydantic models...
    To clients such a value is an object that is not described further.
    """

    _registered: ClassVar[list[type[Coder]]] = []

    @staticmethod
    def register(coder: AnyCoder) -> AnyCoder:
        """Ask `coder`, a class derived from `Coder`, for every type from now on, before those registered earlier. It is
        returned: `@Coder.register` is the same as a decorator.

        Raises:
            TypeError: it is no such class.
        """
        given: object = coder  # annotated, but the model's author may have written anything
        if not (isinstance(given, type) and issubclass(given, Coder)):
            raise TypeError(f"Coder.register() takes a class derived from Coder, not {given!r}.")
        if coder not in Coder._registered:
            Coder._registered.insert(0, coder)
        return coder

    @staticmethod
    def lookup(tpe: type) -> Coder | None:
        """The coder for values of the type `tpe`, made by the first registered class that has one; None without."""
        for coder in Coder._registered:
            found = coder.factory(tpe)
            if found is not None:
                return found
        return None

    @staticmethod
    def factory(tpe: type) -> Coder | None:
        """A coder for values of the type `tpe`, or None when this class is for other types. To be overridden."""
        raise NotImplementedError("a Coder needs a static method factory(tpe) that returns a coder or None")

    def encode(self, value: object) -> dict[str, object]:
        """The JSON object for a value. To be overridden."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method encode(self, value) that returns a dict"
        )

    def decode(self, value: dict[str, object]) -> object:
        """The value for a JSON object; what it raises is told to the client. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a method decode(self, value)")


__all__ = ["Coder"]
