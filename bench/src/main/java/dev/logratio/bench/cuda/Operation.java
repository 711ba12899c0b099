package dev.logratio.bench.cuda;

/** What is timed, and how often it has to move each logit through the GPU's memory. */
enum Operation {
    /** Log-prob and log-sum-exp: one read. */
    FORWARD("token_logprobs forward", 1, 0),
    /** Every output of the forward: one read. */
    FORWARD_ALL("token_logprobs forward, all outputs", 1, 0),
    /** A read and a write elsewhere. */
    BACKWARD("token_logprobs backward", 0, 1),
    /** A read and a write of the same memory. */
    BACKWARD_IN_PLACE("token_logprobs backward in place", 0, 1),
    /** A read forward, a read and a write backward in place. */
    STEP("preference_step in place", 1, 1);

    final String title;
    private final int reads;
    private final int updates;

    Operation(String title, int reads, int updates) {
        this.title = title;
        this.reads = reads;
        this.updates = updates;
    }

    /** The least time that these bandwidths allow, from the times of probes that go over the logits' memory once. */
    double limit(double readTime, double copyTime, double updateTime) {
        return reads * readTime + updates * (this == BACKWARD ? copyTime : updateTime);
    }

    /** Bytes that have to move for so many bytes of logits. */
    long traffic(long bytes) {
        return (reads + 2L * updates) * bytes;
    }
}
