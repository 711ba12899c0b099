/**
 * The bindings of Logratio's native library and its loader; internal to the modules {@code
 * dev.logratio} and {@code dev.logratio.cli}.
 */
@SuppressWarnings("module") // those modules are compiled after this module
module dev.logratio.bindings {
    exports dev.logratio.bindings to
            dev.logratio,
            dev.logratio.cli;
}
