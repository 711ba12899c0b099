package dev.logratio.loss;

import dev.logratio.internal.Option;
import dev.logratio.internal.Options;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Losses and their options by name, read off the records themselves: the records under {@link Loss}
 * are the losses, their components the options, their constructors without arguments the defaults.
 *
 * @since 0.1.0
 */
public final class Losses {
    private static final Map<String, Loss> DEFAULTS =
            records(Loss.class)
                    .map(type -> (Loss) Options.defaults(type))
                    .collect(
                            Collectors.toMap(
                                    Loss::id, loss -> loss, (a, b) -> a, LinkedHashMap::new));

    private Losses() {}

    /** The records under a sealed interface, in the order of its declaration. */
    private static Stream<Class<? extends Record>> records(Class<?> type) {
        return type.isRecord()
                ? Stream.of(type.asSubclass(Record.class))
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
     * @param id the loss's name or alias
     * @return none for most
     * @throws IllegalArgumentException if there is no such loss
     */
    public static List<String> aliases(String id) {
        return defaults(Loss.class, Objects.requireNonNull(id, "id")).aliases();
    }

    /**
     * The options of a loss.
     *
     * @param id the loss's name or alias
     * @return in the record's order
     * @throws IllegalArgumentException if there is no such loss
     */
    public static List<OptionInfo> options(String id) {
        return optionsOf(defaults(Loss.class, Objects.requireNonNull(id, "id"))).stream()
                .map(o -> new OptionInfo(o.name(), o.words(), o.defaultText(), o.expected()))
                .toList();
    }

    private static List<Option> optionsOf(Loss loss) {
        return Options.of(loss.getClass().asSubclass(Record.class));
    }

    /**
     * A loss from text.
     *
     * @param id the loss's name or alias
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
        requireKnown(id, optionsOf(defaults).stream().map(Option::name).toList(), options);
        return kind.cast(Options.with((Record) defaults, options));
    }

    private static void requireKnown(String id, List<String> known, Map<String, String> options) {
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

    private static <T extends Loss> T defaults(Class<T> kind, String id) {
        return DEFAULTS.values().stream()
                .filter(loss -> loss.id().equals(id) || loss.aliases().contains(id))
                .filter(kind::isInstance)
                .map(kind::cast)
                .findFirst()
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "loss is \""
                                                + id
                                                + "\", expected one of "
                                                + String.join(", ", ids(kind))));
    }
}
