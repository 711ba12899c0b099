package dev.logratio.cli;

import dev.logratio.loss.Loss;
import dev.logratio.loss.Losses;
import dev.logratio.loss.OptionInfo;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** The options of a case: checked text by name, with the defaults of the operation behind it. */
final class Settings {
    static final String OP = "op";
    static final String LOSS = "loss";
    /** Keys of the metadata that are no options; other programs write a format. */
    private static final Set<String> NOT_OPTIONS = Set.of(OP, "format");

    private final Map<String, String> given = new LinkedHashMap<>();
    private final Map<String, String> givenToLoss = new LinkedHashMap<>();
    private final String lossId;
    private final List<String> lossOptions;

    private Settings(String lossId, List<String> lossOptions) {
        this.lossId = lossId;
        this.lossOptions = lossOptions;
    }

    /**
     * Reads and checks the options of an operation.
     *
     * @param metadata the file's, with keys that are no options
     */
    static Settings read(Operation operation, Map<String, String> metadata) throws CaseException {
        String lossId = operation.hasLoss() ? metadata.getOrDefault(LOSS, Losses.ids().getFirst()) : null;
        Settings settings = new Settings(lossId, lossId == null ? List.of() : lossOptions(lossId));
        for (Map.Entry<String, String> entry : metadata.entrySet()) {
            if (!NOT_OPTIONS.contains(entry.getKey())) {
                settings.put(operation, entry.getKey(), entry.getValue());
            }
        }
        if (lossId != null) {
            settings.loss(Map.of());
        }
        operation.checkOptions(settings);
        return settings;
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

    boolean isGivenToLoss(String option) {
        return givenToLoss.containsKey(option);
    }

    boolean lossHas(String option) {
        return lossOptions.contains(option);
    }

    /**
     * The loss.
     *
     * @param further options beside those of the metadata, by name
     */
    Loss loss(Map<String, Double> further) throws CaseException {
        Map<String, String> options = new LinkedHashMap<>(givenToLoss);
        further.forEach((name, value) -> options.put(name, Double.toString(value)));
        try {
            return Losses.of(lossId, options);
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }

    /** " of pair_loss with loss sigmoid", for messages. */
    String of(Operation operation) {
        return " of " + operation.name() + (lossId == null ? "" : " with loss " + lossId);
    }

    private void put(Operation operation, String name, String value) throws CaseException {
        Optional<Option> option = operation.option(name);
        if (option.isPresent()) {
            Values values = option.get().values();
            if (!values.accepts(value)) {
                throw new CaseException(name + " is " + Text.quoted(value) + ", expected " + values.description());
            }
            given.put(name, value);
        } else if (lossHas(name)) {
            givenToLoss.put(name, value);
        } else if (lossId == null || !name.equals(LOSS)) {
            List<String> known = new ArrayList<>(operation.options().stream().map(Option::name).toList());
            known.addAll(lossOptions);
            throw new CaseException("unknown option " + Text.quoted(name) + of(operation) + ", expected "
                    + (lossId == null ? "" : LOSS + ", ") + Text.alternatives(known));
        }
    }

    private static List<String> lossOptions(String lossId) throws CaseException {
        try {
            return Losses.options(lossId).stream().map(OptionInfo::name).toList();
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }
}
