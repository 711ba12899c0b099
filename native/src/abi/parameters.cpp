#include "abi/parameters.h"

#include <algorithm>
#include <string>
#include <vector>

#include "abi/errors.h"
#include "abi/options.h"
#include "abi/text.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "math/losses.h"

namespace logratio::abi {
namespace {

bool is_parameter(const Operand& operand) { return operand.option != nullptr; }

// The operand that a gradient is by; nullptr where no tensor is given for it.
const Operand* parameter_of(std::span<const Operand> list, const Operand& gradient) {
  const auto is_it = [&](const Operand& operand) {
    return operand.option == gradient.option && !operand.is_output && operand.tensor() != nullptr;
  };
  const auto found = std::find_if(list.begin(), list.end(), is_it);
  return found == list.end() ? nullptr : &*found;
}

void check(std::span<const Operand> list, const Operand& operand, const math::LossInfo& loss) {
  const std::string option = option_name(operand.option);
  if (find_option(loss, operand.option) == nullptr) {
    invalid(std::string(operand.name) +
            (operand.is_output ? " is wanted" : " is given as a tensor") +
            ", expected a loss with the option " + option + ", not " + loss.name);
  }
  if (operand.is_output && !loss.differentiates_options && parameter_of(list, operand) == nullptr) {
    invalid(std::string(operand.name) + " is wanted, expected " + option +
            " as a tensor with it, as loss " + loss.name + " has no gradient by options");
  }
}

}  // namespace

void check_parameters(std::span<const Operand> list, const math::LossInfo& loss) {
  for (const Operand& operand : list) {
    if (is_parameter(operand) && operand.tensor() != nullptr)
      check(list, operand, loss);
  }
}

void check_one_loss(std::span<const Operand> list, size_t losses) {
  for (const Operand& operand : list) {
    if (losses > 1 && is_parameter(operand) && operand.tensor() != nullptr) {
      invalid(std::string(operand.name) +
              (operand.is_output ? " is wanted" : " is given as a tensor") +
              ", expected a single loss with it, not " + std::to_string(losses));
    }
  }
}

void check_parameter_shapes(std::span<const Operand> list) {
  for (const Operand& operand : list) {
    if (!is_parameter(operand) || !operand.is_output || operand.tensor() == nullptr)
      continue;
    const Operand* const of = parameter_of(list, operand);
    const int64_t size = of == nullptr ? 1 : of->tensor()->shape[0];
    if (operand.tensor()->shape[0] != size) {
      mismatch(operand, "shape [" + std::to_string(size) + "], as " +
                            (of == nullptr ? std::string(option_name(operand.option)) +
                                                 " is not given as a tensor"
                                           : is_text(*of)));
    }
  }
}

void read_parameters(std::span<const Operand> list, lr_loss_options* options) {
  for (const Operand& operand : list) {
    if (!is_parameter(operand) || operand.is_output || operand.tensor() == nullptr)
      continue;
    op::TensorView& view = *operand.view;
    std::vector<double> values(static_cast<size_t>(view.size()));
    cpu::read(view, 0, view.size(), values.data());
    const math::Range& range = find_option(*math::loss_info(options->loss), operand.option)->range;
    for (size_t k = 0; k < values.size(); ++k) {
      if (!range.contains(values[k])) {
        const std::string name =
            values.size() == 1 ? operand.name : element_text(operand, static_cast<int64_t>(k));
        check_number(name.c_str(), values[k], false, range.expected);
      }
    }
    if (values.size() == 1) {
      options->*operand.option = values[0];
      view.present = false;
    }
  }
}

}  // namespace logratio::abi
