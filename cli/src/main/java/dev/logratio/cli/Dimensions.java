package dev.logratio.cli;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The sizes that the symbols of a case's shapes stand for, found by matching one tensor after the
 * other.
 */
final class Dimensions {
    /** A size and the tensor it was first seen in. */
    private record Bound(long size, String source) {}

    private static final int UNKNOWN = -1;

    private final Map<String, Bound> bound = new HashMap<>();
    private int form = UNKNOWN;

    /** The size of a symbol that an earlier tensor had. */
    long size(String symbol) {
        return bound.get(symbol).size();
    }

    /** The tensor that a symbol's size was first seen in, if it was in any. */
    Optional<String> source(String symbol) {
        return Optional.ofNullable(bound.get(symbol)).map(Bound::source);
    }

    /** Makes a symbol stand for the size of another one, if no tensor had it. */
    void setUnlessSeen(String symbol, String like) {
        bound.putIfAbsent(symbol, bound.get(like));
    }

    /** The concrete shape of an output. */
    long[] resolve(List<Shape> shapes) {
        return ofForm(shapes).dimensions().stream()
                .mapToLong(d -> d.isFixed() ? d.factor() : d.factor() * size(d.symbol()))
                .toArray();
    }

    /** Matches the shape of a tensor, learning the sizes of new symbols. */
    void match(String name, List<Shape> shapes, long[] shape) throws CaseException {
        if (form == UNKNOWN) {
            chooseForm(name, shapes, shape);
        }
        Shape expected = ofForm(shapes);
        if (expected.rank() != shape.length) {
            throw mismatch(name, shape, List.of(expected));
        }
        for (int i = 0; i < shape.length; i++) {
            matchDimension(name, shape, expected, i);
        }
    }

    private void chooseForm(String name, List<Shape> shapes, long[] shape) throws CaseException {
        for (int i = 0; i < shapes.size(); i++) {
            if (shapes.get(i).rank() == shape.length) {
                form = i;
                return;
            }
        }
        throw mismatch(name, shape, shapes);
    }

    private Shape ofForm(List<Shape> shapes) {
        return shapes.size() == 1 ? shapes.getFirst() : shapes.get(form);
    }

    private void matchDimension(String name, long[] shape, Shape expected, int i)
            throws CaseException {
        Shape.Dimension dimension = expected.dimensions().get(i);
        if (dimension.isFixed()) {
            if (shape[i] != dimension.factor()) {
                throw mismatch(name, shape, List.of(expected));
            }
            return;
        }
        if (shape[i] % dimension.factor() != 0) {
            throw new CaseException(
                    name
                            + " has shape "
                            + Text.shape(shape)
                            + ", expected "
                            + expected
                            + " with an even dimension "
                            + i
                            + ": chosen rows, then as many rejected");
        }
        long size = shape[i] / dimension.factor();
        Bound before = bound.putIfAbsent(dimension.symbol(), new Bound(size, name));
        if (before != null && before.size() != size) {
            throw mismatch(name, shape, List.of(expected));
        }
        if (dimension.symbol().equals("V") && size < 1) {
            throw new CaseException(
                    name
                            + " has shape "
                            + Text.shape(shape)
                            + ", expected "
                            + expected
                            + " with V >= 1");
        }
    }

    private CaseException mismatch(String name, long[] shape, List<Shape> expected) {
        List<String> sizes = new ArrayList<>();
        for (Shape.Dimension dimension : expected.getFirst().dimensions()) {
            Bound known = bound.get(dimension.symbol());
            if (known != null && !known.source().equals(name)) {
                sizes.add(dimension.symbol() + " = " + known.size() + " of " + known.source());
            }
        }
        return new CaseException(
                name
                        + " has shape "
                        + Text.shape(shape)
                        + ", expected "
                        + Text.alternatives(expected.stream().map(Shape::toString).toList())
                        + (sizes.isEmpty() ? "" : " with " + String.join(", ", sizes)));
    }
}
