// The catalogue of paired losses, for tests that go through all of it.
#pragma once

#include <string>
#include <vector>

#include "support/tensor.h"

namespace logratio::test {

struct Configuration {
  std::string label;
  lr_loss_options options;
  bool reference_free = false;
  bool two_values = false;
};

// Every paired loss, with each of its variants and choices.
inline std::vector<Configuration> catalogue() {
  std::vector<Configuration> all;
  const auto add = [&all](const char* name, const std::string& what, auto&& change) {
    Configuration c{std::string(name) + what, loss_options(name)};
    const std::string text = name;
    c.reference_free = text == "simpo" || text == "alphapo" || text == "cpo" || text == "orpo";
    c.two_values = text == "kto_pair";
    change(c.options);
    all.push_back(c);
  };
  const auto plain = [](lr_loss_options&) {};
  for (const char* name :
       {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "dlrml", "discopop"}) {
    for (int divergence = LR_REVERSE_KL; divergence <= LR_ALPHA; ++divergence) {
      add(name, " f-divergence " + std::to_string(divergence),
          [divergence](lr_loss_options& o) { o.f_divergence = divergence; });
    }
  }
  for (const char* name :
       {"sigmoid", "robust", "exo_pair", "aot", "aot_unpaired", "simpo", "alphapo", "cpo"}) {
    add(name, " smoothed", [](lr_loss_options& o) { o.label_smoothing = .2; });
  }
  for (const char* name :
       {"nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "aot", "aot_unpaired",
        "kto_pair", "padll", "cell", "simpo", "alphapo", "cpo", "orpo"}) {
    add(name, "", plain);
  }
  add("ipo", " summed", [](lr_loss_options& o) { o.normalise = LR_NORMALISE_OFF; });
  add("bco_pair", " delta", [](lr_loss_options& o) { o.delta = .3; });
  add("kto_pair", " detached", [](lr_loss_options& o) { o.detach = LR_DETACH_ON; });
  add("alphapo", " alpha 0", [](lr_loss_options& o) { o.alpha = 0; });
  add("cpo", " of all tokens", [](lr_loss_options& o) { o.nll = LR_NLL_TOKEN; });
  add("orpo", " of all tokens", [](lr_loss_options& o) { o.nll = LR_NLL_TOKEN; });
  for (const char* name : {"dbaql", "aql", "aqfl", "pfl"}) {
    for (int variant = LR_VARIANT_REPO; variant <= LR_VARIANT_PAPER; ++variant) {
      add(name, " variant " + std::to_string(variant), [variant](lr_loss_options& o) {
        o.variant = variant;
        o.beta = .12;
        o.tau = .3;
      });
    }
  }
  return all;
}

}  // namespace logratio::test
