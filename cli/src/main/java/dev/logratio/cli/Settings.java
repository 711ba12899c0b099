package dev.logratio.cli;

import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** The options of a case: checked text by name, with the defaults of the operation behind it. */
final class Settings {
    static final String OP = "op";
    static final String LOSS = "loss";

    /** Keys of the metadata that are no options; other programs write a format. */
    private static final Set<String> NOT_OPTIONS = Set.of(OP, "format");

    private final Operation operation;
    private final Map<String, String> given = new LinkedHashMap<>();
    private final Map<String, String> givenToLoss = new LinkedHashMap<>();
    private final String lossText;
    private final List<Loss> losses;

    private Settings(Operation operation, String lossText) throws CaseException {
        this.operation = operation;
        this.lossText = lossText;
        this.losses = losses(Map.of()); // with their defaults as yet
    }

    /**
     * Reads and checks the options of an operation.
     *
     * @param metadata the file's, with keys that are no options
     */
    static Settings read(Operation operation, Map<String, String> metadata) throws CaseException {
        if (operation.hasLoss() && !metadata.containsKey(LOSS)) {
            throw missing(LOSS, Losses.ids(operation.lossKind()));
        }
        Settings settings =
                new Settings(operation, operation.hasLoss() ? metadata.get(LOSS) : null);
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
            if (!NOT_OPTIONS.contains(entry.getKey())) {
                settings.put(entry.getKey(), entry.getValue());
            }
        }
        settings.losses(Map.of());
        for (Option option : operation.options()) {
            if (option.isRequired() && !settings.isGiven(option)) {
                throw missing(option.name(), List.of(option.values().description().split("\\|")));
            }
        }
        operation.checkOptions(settings);
        return settings;
    }

    private static CaseException missing(String name, List<String> values) {
        return new CaseException(
                name + " is missing in __metadata__, expected " + Text.alternatives(values));
    }

    String text(Option option) {
        return given.getOrDefault(option.name(), option.defaultText());
    }

    double number(Option option) {
        return Double.parseDouble(text(option));
    }

    long whole(Option option) {
        return Long.parseLong(text(option));
    }

    boolean isOn(Option option) {
        return text(option).equals("on");
    }

    boolean isGiven(Option option) {
        return given.containsKey(option.name());
    }

    boolean isGivenToLoss(String option) {
        return givenToLoss.containsKey(option);
    }

    boolean lossHas(String option) {
        return losses.stream().anyMatch(loss -> optionsOf(loss).contains(option));
    }

    /** The loss, or the losses with commas between them, as the case names them. */
    String lossText() {
        return lossText;
    }

    /** Whether one of the losses has a reference at all. */
    boolean takesReference() {
        return losses.stream()
                .anyMatch(
                        loss ->
                                !(loss instanceof Loss.ReferenceFree)
                                        && !(loss instanceof Loss.Auxiliary));
    }

    /** Whether the loss, or one of several, is of this kind. */
    boolean hasLossOf(Class<? extends Loss> kind) {
        return losses.stream().anyMatch(kind::isInstance);
    }

    /**
     * The losses, each with those of the options that it has; none where the operation has none.
     *
     * @param further options beside those of the metadata, by name
     */
    List<Loss> losses(Map<String, Double> further) throws CaseException {
        if (lossText == null) {
            return List.of();
        }
        Map<String, String> options = new LinkedHashMap<>(givenToLoss);
        further.forEach((name, value) -> options.put(name, Double.toString(value)));
        List<Loss> made = new ArrayList<>();
        try {
            for (String id :
                    operation.takesSeveralLosses()
                            ? Arrays.asList(lossText.split(",", -1))
                            : List.of(lossText)) {
                Loss loss = Losses.of(operation.lossKind(), id, Map.of());
                Map<String, String> ofLoss = new LinkedHashMap<>(options);
                ofLoss.keySet().retainAll(optionsOf(loss));
                made.add(Losses.of(operation.lossKind(), id, ofLoss));
            }
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
        return made;
    }

    /** " of pair_loss with loss sigmoid", for messages. */
    String ofOperation() {
        return " of " + operation.name() + (lossText == null ? "" : " with loss " + lossText);
    }

    private void put(String name, String value) throws CaseException {
        Optional<Option> option =
                operationOptions().filter(known -> known.name().equals(name)).findFirst();
        if (option.isPresent()) {
            Values values = option.get().values();
            if (!values.accepts(value)) {
                throw new CaseException(
                        name + " is " + Text.quoted(value) + ", expected " + values.description());
            }
            given.put(name, value);
        } else if (lossHas(name)) {
            givenToLoss.put(name, value);
        } else if (lossText == null || !name.equals(LOSS)) {
            List<String> known =
                    Stream.concat(
                                    operationOptions().map(Option::name),
                                    losses.stream().flatMap(loss -> optionsOf(loss).stream()))
                            .distinct()
                            .toList();
            throw new CaseException(
                    "unknown option "
                            + Text.quoted(name)
                            + ofOperation()
                            + ", expected "
                            + (lossText == null ? "" : LOSS + ", ")
                            + Text.alternatives(known));
        }
    }

    /** Those that the operation has with this loss. */
    private Stream<Option> operationOptions() {
        return operation.options().stream()
                .filter(option -> option != Options.REFERENCE_FREE || takesReference());
    }

    private static List<String> optionsOf(Loss loss) {
        return Losses.options(loss.id()).stream().map(OptionInfo::name).toList();
    }
}
