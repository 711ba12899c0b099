/** Preference-optimisation losses on hand-written kernels: fused, never NaN where the maths has a value, repeatable to the bit. */
module dev.logratio {
    requires dev.logratio.bindings;
    requires com.fasterxml.jackson.core;
    requires com.fasterxml.jackson.databind;
    requires info.picocli;
    // Charts, for the command line alone.
    requires static java.desktop;
    requires static org.knowm.xchart;
    requires java.logging; // of JCuda, whose jar names no module that it needs
    requires jcuda;

    exports dev.logratio;
    exports dev.logratio.cuda;
    exports dev.logratio.loss;
    exports dev.logratio.safetensors;

    opens dev.logratio.cli to info.picocli;
}
