package dev.logratio.internal;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/**
 * Option records, read off their components. A component is a {@code double} with its {@link
 * Range}, a {@code long}, a {@code boolean}, an enumeration, or a record of a sealed interface,
 * whose own components are further options. A component's name in snake case is the option's name
 * in text, in messages and in the C interface; the constructor without arguments, or else the
 * constant {@code DEFAULT}, has the defaults.
 */
public final class Options {
    private static final ClassValue<Component[]> COMPONENTS =
            new ClassValue<>() {
                @Override
                protected Component[] computeValue(Class<?> type) {
                    return Arrays.stream(type.getRecordComponents())
                            .map(Component::of)
                            .toArray(Component[]::new);
                }
            };

    private static final ClassValue<List<Option>> OPTIONS =
            new ClassValue<>() {
                @Override
                protected List<Option> computeValue(Class<?> type) {
                    return read(type.asSubclass(Record.class));
                }
            };

    private Options() {}

    /**
     * Checks the values of a record; its compact constructor calls it.
     *
     * @param type the record's
     * @param values of its components, in their order
     * @throws IllegalArgumentException if a number is out of its range; the message names it
     * @throws NullPointerException if a value is null; the message is its name
     */
    public static void check(Class<? extends Record> type, Object... values) {
        Component[] components = COMPONENTS.get(type);
        for (int i = 0; i < components.length; i++) {
            Objects.requireNonNull(values[i], components[i].name);
            if (components[i].range != null) {
                components[i].range.require(components[i].name, (double) values[i]);
            }
        }
    }

    /**
     * Refuses a number of columns below 0; the compact constructors of records with one call it.
     *
     * @param vocab how many columns take part; 0: all
     * @throws IllegalArgumentException if it is below 0
     */
    public static void checkVocab(long vocab) {
        if (vocab < 0) {
            throw new IllegalArgumentException(
                    "vocab is " + vocab + ", expected a number >= 1, or 0 for all columns");
        }
    }

    /**
     * The options of a record.
     *
     * @param type the record's
     * @return in the order of its components
     */
    public static List<Option> of(Class<? extends Record> type) {
        return OPTIONS.get(type);
    }

    /**
     * A record with every option at its default.
     *
     * @param type the record's
     * @param <R> the record's
     * @return the record
     */
    public static <R extends Record> R defaults(Class<R> type) {
        try {
            return type.getConstructor().newInstance();
        } catch (NoSuchMethodException e) {
            return defaultConstant(type);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(type + " cannot be made", e);
        }
    }

    private static <R extends Record> R defaultConstant(Class<R> type) {
        try {
            return type.cast(type.getField("DEFAULT").get(null));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(type + " has no defaults", e);
        }
    }

    /**
     * A record from text.
     *
     * @param type the record's
     * @param texts values by option name; what is absent has its default
     * @param <R> the record's type
     * @return the record
     * @throws IllegalArgumentException if there is no such option, or a value is out of range
     */
    public static <R extends Record> R parse(Class<R> type, Map<String, String> texts) {
        return with(defaults(type), texts);
    }

    /**
     * A record with some options given as text.
     *
     * @param record the others' values
     * @param texts values by option name; what is absent stays
     * @param <R> the record's type
     * @return the new record
     * @throws IllegalArgumentException if there is no such option, or a value is out of range
     */
    public static <R extends Record> R with(R record, Map<String, String> texts) {
        List<Option> options = of(record.getClass());
        for (String name : texts.keySet()) {
            if (options.stream().noneMatch(option -> option.name().equals(name))) {
                throw new IllegalArgumentException("option " + name + " is unknown");
            }
        }
        for (Option option : options) {
            if (texts.containsKey(option.name())) {
                option.require(texts.get(option.name()));
            }
        }
        return changed(record, texts);
    }

    /**
     * A name in snake case.
     *
     * @param name in camel case
     * @return {@code "beta_kl"} of {@code "betaKl"}
     */
    public static String snakeCase(String name) {
        return name.replaceAll("(?<=.)([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private static List<Option> read(Class<? extends Record> type) {
        Record defaults = defaults(type);
        List<Option> options = new ArrayList<>();
        for (Component component : COMPONENTS.get(type)) {
            options.add(component.option(defaults));
            for (Class<? extends Record> alternative : component.alternatives()) {
                options.addAll(of(alternative));
            }
        }
        return List.copyOf(options);
    }

    /** A record whose components have the values of the texts, which are known to be right. */
    @SuppressWarnings("unchecked") // a record's class makes records of that class
    private static <R extends Record> R changed(R record, Map<String, String> texts) {
        Component[] components = COMPONENTS.get(record.getClass());
        Object[] values = Arrays.stream(components).map(c -> c.value(record, texts)).toArray();
        Class<?>[] types = Arrays.stream(components).map(c -> c.type).toArray(Class<?>[]::new);
        try {
            Constructor<?> constructor = record.getClass().getConstructor(types);
            return (R) constructor.newInstance(values);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof IllegalArgumentException refused) {
                throw refused; // by a rule about several options
            }
            throw new IllegalStateException(record.getClass() + " cannot be made", e);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(record.getClass() + " cannot be made", e);
        }
    }

    private record Component(
            String name, Class<?> type, RecordComponent component, Interval range) {
        static Component of(RecordComponent component) {
            Range range = component.getAnnotation(Range.class);
            if ((range != null) != (component.getType() == double.class)) {
                throw new IllegalStateException(component + ": a double has a @Range, no other");
            }
            return new Component(
                    snakeCase(component.getName()),
                    component.getType(),
                    component,
                    range == null ? null : Interval.of(range));
        }

        /** The records of a sealed interface; none for any other type. */
        List<Class<? extends Record>> alternatives() {
            return type.isSealed()
                    ? Arrays.stream(type.getPermittedSubclasses())
                            .<Class<? extends Record>>map(c -> c.asSubclass(Record.class))
                            .toList()
                    : List.of();
        }

        Object of(Record record) {
            try {
                return component.getAccessor().invoke(record);
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(component + " cannot be read", e);
            }
        }

        Option option(Record defaults) {
            String text = word(of(defaults));
            List<String> words = new ArrayList<>(words());
            if (words.remove(text)) {
                words.addFirst(text);
            }
            return new Option(name, List.copyOf(words), range, text);
        }

        private List<String> words() {
            if (type == boolean.class) {
                return List.of("off", "on");
            }
            return type.isEnum()
                    ? Arrays.stream(type.getEnumConstants()).map(Component::word).toList()
                    : alternatives().stream().map(Component::word).toList();
        }

        private static String word(Object value) {
            return switch (value) {
                case Boolean on -> on ? "on" : "off";
                case Enum<?> constant -> constant.name().toLowerCase(Locale.ROOT);
                case Record record -> word(record.getClass());
                case Class<?> alternative -> snakeCase(alternative.getSimpleName());
                default -> value.toString();
            };
        }

        /** The value in a record, unless a text has another. */
        Object value(Record record, Map<String, String> texts) {
            Object current = of(record);
            String text = texts.get(name);
            if (type.isSealed()) {
                return alternative((Record) current, text, texts);
            }
            if (text == null) {
                return current;
            }
            if (type == boolean.class) {
                return text.equals("on");
            }
            if (type == long.class) {
                return Long.parseLong(text);
            }
            return type == double.class
                    ? (Object) Double.parseDouble(text)
                    : type.getEnumConstants()[words().indexOf(text)];
        }

        private Record alternative(Record current, String text, Map<String, String> texts) {
            Class<? extends Record> chosen =
                    text == null ? current.getClass() : alternatives().get(words().indexOf(text));
            return changed(chosen.isInstance(current) ? current : defaults(chosen), texts);
        }
    }
}
