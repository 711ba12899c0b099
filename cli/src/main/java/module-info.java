/** The command line of Logratio, and safetensors files. */
module dev.logratio.cli {
    requires transitive dev.logratio;
    requires dev.logratio.bindings;
    requires static org.jspecify;
    requires com.fasterxml.jackson.core;
    requires info.picocli;
    // Charts are optional.
    requires static java.desktop;
    requires static xchart;

    exports dev.logratio.safetensors;

    opens dev.logratio.cli to
            info.picocli;
}
