package dev.logratio;

import java.util.List;
import java.util.Optional;

/**
 * What carries operations out. Backends are stateless and may be used by any number of threads at once.
 *
 * <ul>
 *   <li>{@code reference}: plain float64 loops in Java; slow, exact, always there. It also takes F64 logits.
 *   <li>{@code cpu}: the native library's SIMD kernels.
 * </ul>
 */
public abstract sealed class Backend permits ReferenceBackend, CpuBackend {
    private static final List<String> NAMES = List.of("reference", "cpu");

    private final String name;

    Backend(String name) {
        this.name = name;
    }

    /**
     * The float64 reference.
     *
     * @return the backend, always the same
     */
    public static Backend reference() {
        return ReferenceBackend.INSTANCE;
    }

    /**
     * The native CPU backend. The first call loads the native library.
     *
     * @return the backend, always the same
     * @throws BackendUnavailableException if the library cannot be loaded or run here; the message says why and what to do
     */
    public static Backend cpu() {
        return CpuBackend.instance();
    }

    /**
     * A backend by its name.
     *
     * @param name {@code "reference"} or {@code "cpu"}
     * @return the backend
     * @throws IllegalArgumentException if no backend has this name
     * @throws BackendUnavailableException if it cannot run here
     */
    public static Backend named(String name) {
        return switch (name) {
            case "reference" -> reference();
            case "cpu" -> cpu();
            default -> throw new IllegalArgumentException(
                    "backend is \"" + name + "\", expected one of " + String.join(", ", NAMES));
        };
    }

    /**
     * Every backend that this version knows.
     *
     * @return one entry a backend, with the reason where it cannot run here
     */
    public static List<BackendInfo> all() {
        return NAMES.stream().map(Backend::info).toList();
    }

    private static BackendInfo info(String name) {
        try {
            Backend backend = named(name);
            return new BackendInfo(name, Optional.of(backend), backend.detail());
        } catch (BackendUnavailableException e) {
            return new BackendInfo(name, Optional.empty(), e.getMessage());
        }
    }

    /**
     * The backend's name.
     *
     * @return as {@link #named} takes it
     */
    public final String name() {
        return name;
    }

    /** The backend's name. */
    @Override
    public final String toString() {
        return name;
    }

    /** What the backend runs on, for people. */
    abstract String detail();

    /** Whether logits may be F64. */
    abstract boolean takesDoubleLogits();

    // The operations. Their arguments have been checked, and stay open until the call returns.

    abstract void tokenLogprobs(TokenLogprobs call);

    abstract void tokenLogprobsBackward(TokenLogprobsBackward call);

    abstract void sequenceLogps(SequenceLogps call);

    abstract void pairLoss(PairLoss call);

    abstract StepMetrics preferenceStep(PreferenceStep call);

    abstract void divergence(Divergence call);

    abstract void scoringRule(ScoringRule call);
}
