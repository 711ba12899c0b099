package dev.logratio.cli;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * An input tensor of an operation: one row of the table that both the checks and {@code --list}
 * read.
 *
 * @param shapes one for each form that the operation knows (rows, or sequences of rows), or a
 *     single one for all
 * @param fallback what is used where the tensor is absent, in words; "" if nothing
 */
record Input(
        String name, Elements elements, Presence presence, List<Shape> shapes, String fallback) {
    static Input of(String name, Elements elements, Presence presence, String... shapes) {
        return new Input(
                name, elements, presence, Arrays.stream(shapes).map(Shape::parse).toList(), "");
    }

    static Input required(String name, Elements elements, String... shapes) {
        return of(name, elements, Presence.REQUIRED, shapes);
    }

    static Input optional(String name, Elements elements, String... shapes) {
        return of(name, elements, Presence.OPTIONAL, shapes);
    }

    /** This input with the words for what is used where it is absent. */
    Input orElse(String fallback) {
        return new Input(name, elements, presence, shapes, fallback);
    }

    /** "[N,V] or [B,T,V]". */
    String shapeNames() {
        return shapes.stream().map(Shape::toString).collect(Collectors.joining(" or "));
    }
}
