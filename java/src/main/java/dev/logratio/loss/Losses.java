package dev.logratio.loss;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Losses and their options by name, read off the records themselves: the records under {@link Loss}
 * are the losses, their components the options, their constructors without arguments the defaults.
 */
public final class Losses {
    private static final String F_DIVERGENCE = "f_divergence";
    private static final String F_ALPHA = "f_alpha";
    private static final List<String> F_DIVERGENCES =
            List.of("reverse_kl", "forward_kl", "js", "alpha");
    private static final Pattern NUMBER =
            Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");

    private static final Map<String, Loss> DEFAULTS =
            records(Loss.class)
                    .map(Losses::withDefaults)
                    .collect(
                            Collectors.toMap(
                                    Loss::id, loss -> loss, (a, b) -> a, LinkedHashMap::new));
    private static final Map<String, String> ALIASES = Map.of("lrml", "discopop");

    private Losses() {}

    /** The records under a sealed interface, in the order of its declaration. */
    private static Stream<Class<?>> records(Class<?> type) {
        return type.isRecord()
                ? Stream.of(type)
                : Arrays.stream(type.getPermittedSubclasses()).flatMap(Losses::records);
    }

    /**
     * The names of all losses.
     *
     * @return without aliases
     */
    public static List<String> ids() {
        return ids(Loss.class);
    }

    /**
     * The names of the losses of a kind.
     *
     * @param kind for instance {@code Loss.Paired.class}
     * @return without aliases
     */
    public static List<String> ids(Class<? extends Loss> kind) {
        Objects.requireNonNull(kind, "kind");
        return DEFAULTS.values().stream().filter(kind::isInstance).map(Loss::id).toList();
    }

    /**
     * Further names of a loss.
     *
     * @param id the loss's name
     * @return none for most
     */
    public static List<String> aliases(String id) {
        Objects.requireNonNull(id, "id");
        return ALIASES.entrySet().stream()
                .filter(alias -> alias.getValue().equals(id))
                .map(Map.Entry::getKey)
                .toList();
    }

    /**
     * The options of a loss.
     *
     * @param id the loss's name or alias
     * @return in the record's order
     * @throws IllegalArgumentException if there is no such loss
     */
    public static List<OptionInfo> options(String id) {
        Loss defaults = defaults(Loss.class, Objects.requireNonNull(id, "id"));
        List<OptionInfo> options = new ArrayList<>();
        for (RecordComponent component : defaults.getClass().getRecordComponents()) {
            if (component.getType() == FDivergence.class) {
                options.add(choice(F_DIVERGENCE, F_DIVERGENCES));
                options.add(
                        new OptionInfo(
                                F_ALPHA,
                                List.of(),
                                Double.toString(new FDivergence.Alpha().alpha()),
                                Range.FINITE));
            } else if (component.getType() != double.class) {
                options.add(choice(optionName(component), words(component, defaults)));
            } else {
                options.add(
                        new OptionInfo(
                                optionName(component),
                                List.of(),
                                value(component, defaults).toString(),
                                component.getAnnotation(Range.class).value()));
            }
        }
        return options;
    }

    /**
     * A loss from text.
     *
     * @param id the loss's name, or the alias {@code lrml} of {@code discopop}
     * @param options values by option name; what is absent has its default
     * @return the loss
     * @throws IllegalArgumentException if there is no such loss, it has no such option, or a value
     *     is out of range
     */
    public static Loss of(String id, Map<String, String> options) {
        return of(Loss.class, id, options);
    }

    /**
     * A loss of a kind from text.
     *
     * @param kind for instance {@code Loss.Paired.class}
     * @param id the loss's name or alias
     * @param options values by option name; what is absent has its default
     * @param <T> the kind
     * @return the loss
     * @throws IllegalArgumentException if there is no such loss of this kind, it has no such
     *     option, or a value is out of range
     */
    public static <T extends Loss> T of(Class<T> kind, String id, Map<String, String> options) {
        Objects.requireNonNull(kind, "kind");
        Objects.requireNonNull(options, "options");
        T defaults = defaults(kind, Objects.requireNonNull(id, "id"));
        requireKnown(id, options);
        RecordComponent[] components = defaults.getClass().getRecordComponents();
        Object[] values = new Object[components.length];
        for (int i = 0; i < components.length; i++) {
            RecordComponent component = components[i];
            String name = optionName(component);
            String text = options.get(name);
            if (component.getType() == FDivergence.class) {
                values[i] = fDivergence(options);
            } else if (text == null) {
                values[i] = value(component, defaults);
            } else if (component.getType().isEnum()) {
                values[i] =
                        component.getType()
                                .getEnumConstants()[
                                indexOf(name, text, words(component, defaults))];
            } else if (component.getType() == boolean.class) {
                List<String> words = words(component, defaults);
                values[i] = words.get(indexOf(name, text, words)).equals("on");
            } else {
                values[i] = number(name, text);
            }
        }
        return kind.cast(instance(defaults.getClass(), types(components), values));
    }

    private static void requireKnown(String id, Map<String, String> options) {
        List<String> known = options(id).stream().map(OptionInfo::name).toList();
        for (String option : options.keySet()) {
            if (!known.contains(option)) {
                throw new IllegalArgumentException(
                        "option "
                                + option
                                + " is unknown to loss "
                                + id
                                + ", which takes "
                                + (known.isEmpty() ? "none" : String.join(", ", known)));
            }
        }
    }

    private static FDivergence fDivergence(Map<String, String> options) {
        double alpha =
                options.containsKey(F_ALPHA)
                        ? number(F_ALPHA, options.get(F_ALPHA))
                        : new FDivergence.Alpha().alpha();
        FDivergence.Alpha alphaDivergence = new FDivergence.Alpha(alpha);
        String name = options.getOrDefault(F_DIVERGENCE, F_DIVERGENCES.getFirst());
        return switch (indexOf(F_DIVERGENCE, name, F_DIVERGENCES)) {
            case 0 -> new FDivergence.ReverseKl();
            case 1 -> new FDivergence.ForwardKl();
            case 2 -> new FDivergence.Js();
            default -> alphaDivergence;
        };
    }

    private static double number(String name, String text) {
        if (!NUMBER.matcher(text).matches()) {
            throw new IllegalArgumentException(name + " is \"" + text + "\", expected a number");
        }
        return Double.parseDouble(text);
    }

    private static int indexOf(String name, String text, List<String> values) {
        int index = values.indexOf(text);
        if (index < 0) {
            throw new IllegalArgumentException(
                    name + " is \"" + text + "\", expected one of " + String.join(", ", values));
        }
        return index;
    }

    private static <T extends Loss> T defaults(Class<T> kind, String id) {
        Loss loss = DEFAULTS.get(ALIASES.getOrDefault(id, id));
        if (!kind.isInstance(loss)) {
            throw new IllegalArgumentException(
                    "loss is \"" + id + "\", expected one of " + String.join(", ", ids(kind)));
        }
        return kind.cast(loss);
    }

    private static OptionInfo choice(String name, List<String> values) {
        return new OptionInfo(name, values, values.getFirst(), String.join("|", values));
    }

    /** The values that an option which is no number takes, the default first. */
    private static List<String> words(RecordComponent component, Loss defaults) {
        if (component.getType() == boolean.class) {
            return (boolean) value(component, defaults)
                    ? List.of("on", "off")
                    : List.of("off", "on");
        }
        return Arrays.stream(component.getType().getEnumConstants())
                .map(constant -> constant.toString().toLowerCase(Locale.ROOT))
                .toList();
    }

    /** {@code betaKl} as {@code beta_kl}. */
    private static String optionName(RecordComponent component) {
        return component.getName().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private static Class<?>[] types(RecordComponent[] components) {
        return Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
    }

    private static Loss withDefaults(Class<?> type) {
        return instance(type, new Class<?>[0], new Object[0]);
    }

    private static Loss instance(Class<?> type, Class<?>[] parameterTypes, Object[] parameters) {
        try {
            Constructor<?> constructor = type.getDeclaredConstructor(parameterTypes);
            return (Loss) constructor.newInstance(parameters);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof IllegalArgumentException refused) {
                throw refused;
            }
            throw new IllegalStateException(type + " cannot be made", e);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(type + " cannot be made", e);
        }
    }

    private static Object value(RecordComponent component, Loss loss) {
        try {
            return component.getAccessor().invoke(loss);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(component + " cannot be read", e);
        }
    }
}
