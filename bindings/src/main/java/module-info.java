/** The bindings of Logratio's native library and its loader; internal to the module {@code dev.logratio}. */
@SuppressWarnings("module") // dev.logratio is compiled after this module
module dev.logratio.bindings {
    exports dev.logratio.bindings to dev.logratio;
}
