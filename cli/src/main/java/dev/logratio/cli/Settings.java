package dev.logratio.cli;

import dev.logratio.Wpo;
import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.PreferenceStepOperand;
import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;
import dev.logratio.loss.WeightedLoss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
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

    private static final Shape LOSSES = Shape.of("L");
    private static final Shape PAIRS = Shape.of("P");
    private static final Shape TWICE_PAIRS = Shape.of("2P");

    private final Operation operation;
    private final Map<String, String> given = new LinkedHashMap<>();
    private final Map<String, String> givenToLoss = new LinkedHashMap<>();
    private final String lossText;
    private final List<Loss> losses;

    private Settings(Operation operation, String lossText) throws CaseException {
        this.operation = operation;
        this.lossText = lossText;
        this.losses = losses(); // with their defaults as yet
    }

    /**
     * Reads and checks the options of an operation.
     *
     * @param metadata the file's, with keys that are no options
     */
    static Settings read(Operation operation, Map<String, String> metadata) throws CaseException {
        String loss = operation.lossKind().isPresent() ? metadata.get(LOSS) : null;
        if (loss == null && operation.lossKind().isPresent()) {
            throw missing(LOSS, Losses.ids(operation.lossKind().get()));
        }
        Settings settings = new Settings(operation, loss);
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
            if (!NOT_OPTIONS.contains(entry.getKey())) {
                settings.put(entry.getKey(), entry.getValue());
            }
        }
        for (Setting setting : operation.settings()) {
            if (operation.isRequired(setting) && !settings.given.containsKey(setting.name())) {
                throw missing(setting.name(), List.of(setting.expected().split("\\|")));
            }
        }
        settings.checkTogether();
        return settings;
    }

    private static CaseException missing(String name, List<String> values) {
        return new CaseException(
                name + " is missing in __metadata__, expected " + Text.alternatives(values));
    }

    /** What options demand of each other. */
    private void checkTogether() throws CaseException {
        List<Loss> made = losses();
        String weights = given.get(Setting.LOSS_WEIGHTS.name());
        if (weights != null && Setting.numbers(weights).length != made.size()) {
            throw new CaseException(
                    "loss_weights is "
                            + Text.quoted(weights)
                            + ", expected as many numbers as losses, "
                            + made.size());
        }
        Signature part = operation.parts().getFirst();
        try {
            new Call(part, records(part, made)).checkOptions();
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }

    // ---- Options by name ----

    /** The text of an option that the operation has; "" where it has none of the name. */
    String text(String name) {
        return given.getOrDefault(
                name,
                operation.settings().stream()
                        .filter(setting -> setting.name().equals(name))
                        .map(Setting::defaultText)
                        .findFirst()
                        .orElse(""));
    }

    boolean isOn(Setting flag) {
        return text(flag.name()).equals("on");
    }

    boolean isGivenToLoss(String option) {
        return givenToLoss.containsKey(option);
    }

    /**
     * The option records of a call, in the signature's order.
     *
     * @param losses those of the case
     */
    Object[] records(Signature part, List<Loss> losses) {
        return part.options().stream().map(type -> record(type, losses)).toArray();
    }

    private Object record(Class<?> type, List<Loss> losses) {
        if (type == StepOptions.class) {
            String count = given.get(Setting.TOKEN_COUNT.name());
            return new StepOptions(
                    weighted(losses),
                    Wpo.valueOf(text(Setting.WPO.name()).toUpperCase(Locale.ROOT)),
                    count == null ? 0 : Double.parseDouble(count));
        }
        if (Loss.class.isAssignableFrom(type)) {
            return losses.getFirst();
        }
        Class<? extends Record> record = type.asSubclass(Record.class);
        Map<String, String> texts = new LinkedHashMap<>(given);
        texts.keySet().retainAll(Options.of(record).stream().map(Option::name).toList());
        return Options.parse(record, texts);
    }

    private List<WeightedLoss> weighted(List<Loss> losses) {
        String text = given.get(Setting.LOSS_WEIGHTS.name());
        List<WeightedLoss> terms = new ArrayList<>();
        for (Loss loss : losses) {
            double weight = text == null ? 1 : Setting.numbers(text)[terms.size()];
            terms.add(new WeightedLoss((Loss.OfStep) loss, weight));
        }
        return terms;
    }

    // ---- Losses ----

    boolean lossHas(String option) {
        return losses.stream().anyMatch(loss -> optionsOf(loss).contains(option));
    }

    /** Whether the losses are of single examples and use a KL divergence. */
    boolean usesKl() {
        return losses.stream().anyMatch(loss -> loss instanceof Loss.Unpaired of && of.usesKl());
    }

    /** The shapes in terms of pairs, where they are of losses: a pair has one or two. */
    List<Shape> shapes(List<Shape> declared) {
        boolean two =
                losses.stream().anyMatch(l -> l instanceof Loss.Paired p && p.lossesPerPair() == 2);
        return declared.stream()
                .map(shape -> shape.equals(LOSSES) ? two ? TWICE_PAIRS : PAIRS : shape)
                .toList();
    }

    /** Whether one of the losses has a reference at all. */
    boolean takesReference() {
        return losses.stream()
                .anyMatch(
                        loss ->
                                !(loss instanceof Loss.ReferenceFree)
                                        && !(loss instanceof Loss.Auxiliary));
    }

    /** Why there is no reference, or null if there is one, or may be one for rewards. */
    String whyReferenceFree() {
        if (!takesReference() && !operation.takesSeveralLosses()) {
            return "loss " + lossText + " has no reference";
        }
        return isOn(Setting.REFERENCE_FREE) ? "reference_free is on" : null;
    }

    /** Why a tensor must not be there, or null if it may. */
    String whyAbsent(Input input) {
        if (input.isReference()) {
            return whyReferenceFree();
        }
        if (input.name().equals(PreferenceStepOperand.NLL_MASK.id())
                && losses.stream().noneMatch(StepOptions::hasNll)) {
            return "loss " + lossText + " has no negative log-likelihood";
        }
        boolean ofRanks = losses.stream().anyMatch(l -> l instanceof Loss.Paired p && p.ofRanks());
        if (input.name().equals(PreferenceStepOperand.PAIR_WEIGHTS.id()) && ofRanks) {
            return "the losses of " + lossText + " belong to ranks, not to pairs";
        }
        return null;
    }

    /**
     * The losses, each with those of the options that it has; none where the operation has none.
     */
    List<Loss> losses() throws CaseException {
        if (lossText == null) {
            return List.of();
        }
        Class<? extends Loss> kind = operation.lossKind().orElseThrow();
        List<String> ids =
                operation.takesSeveralLosses()
                        ? Arrays.asList(lossText.split(",", -1))
                        : List.of(lossText);
        List<Loss> made = new ArrayList<>();
        try {
            for (String id : ids) {
                Loss loss = Losses.of(kind, id, Map.of());
                Map<String, String> ofLoss = new LinkedHashMap<>(givenToLoss);
                ofLoss.keySet().retainAll(optionsOf(loss));
                made.add(Losses.of(kind, id, ofLoss));
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

    // ---- Reading ----

    private void put(String name, String value) throws CaseException {
        Optional<Setting> setting =
                knownSettings().filter(known -> known.name().equals(name)).findFirst();
        if (setting.isPresent()) {
            if (!setting.get().accepts().test(value)) {
                throw new CaseException(
                        name
                                + " is "
                                + Text.quoted(value)
                                + ", expected "
                                + setting.get().expected());
            }
            given.put(name, value);
        } else if (lossHas(name)) {
            givenToLoss.put(name, value);
        } else if (lossText == null || !name.equals(LOSS)) {
            List<String> known =
                    Stream.concat(
                                    knownSettings().map(Setting::name),
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
    private Stream<Setting> knownSettings() {
        return operation.settings().stream()
                .filter(setting -> setting != Setting.REFERENCE_FREE || takesReference());
    }

    private static List<String> optionsOf(Loss loss) {
        return Losses.options(loss.id()).stream().map(OptionInfo::name).toList();
    }
}
