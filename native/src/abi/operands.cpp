#include "abi/operands.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>

#include "abi/errors.h"
#include "abi/tensors.h"
#include "abi/text.h"

namespace logratio::abi {
namespace {

[[noreturn, gnu::cold]] void fault(const Operand& operand, const std::string& what) {
  invalid(is_text(operand) + what);
}

// A rank, and sizes that are none below 0; of higher ranks than any operand's the rank is enough.
bool has_sizes(const DLTensor& tensor) {
  if (tensor.ndim < 0 || (tensor.ndim > 0 && tensor.shape == nullptr))
    return false;
  bool valid = true;
  for (int d = 0; d < tensor.ndim && d < Pattern::kMaxRank; ++d)
    valid &= tensor.shape[d] >= 0;
  return valid;
}

bool has_vocabulary(const Operand& operand) { return operand.rows != nullptr; }

// "2P", "N+1".
std::string declared_size(const Pattern& pattern, int dimension) {
  const int factor = pattern.factors[dimension];
  return (factor == 1 ? "" : std::to_string(factor)) +
         static_cast<char>('A' + pattern.letters[dimension] - 1) +
         (pattern.addends[dimension] == 0 ? "" : "+" + std::to_string(pattern.addends[dimension]));
}

// "[1] or [P]" of "1|P".
std::string bracketed(std::string sizes) {
  const size_t choice = sizes.find('|');
  if (choice != std::string::npos)
    sizes.replace(choice, 1, "] or [");
  return "[" + sizes + "]";
}

std::string names(const Shapes& shapes) {
  std::string text;
  for (int k = 0; k < shapes.count; ++k) {
    const char* const before = k == 0 ? "" : k + 1 < shapes.count ? ", " : " or ";
    text += before + bracketed(shapes.patterns[k].text);
  }
  return text;
}

}  // namespace

std::string is_text(const Operand& operand) {
  return std::string(operand.name) + " is " + text_of(*operand.tensor());
}

void mismatch(const Operand& operand, const std::string& expected) {
  fault(operand, ", expected " + expected);
}

Operands::Operands(std::span<const Operand> all) : all_(all) {
  for (const Operand& operand : all) {
    if (operand.tensor() != nullptr)
      given_[count_++] = &operand;
  }
  std::fill(std::begin(sizes_), std::end(sizes_), kUnknown);
  sizes_[0] = 1;
}

const Operand& Operands::operator[](const DLTensor* const& field) const {
  return *std::find_if(all_.begin(), all_.end(),
                       [&](const Operand& operand) { return operand.field == &field; });
}

void Operands::derive(char letter, int64_t times, char from) {
  derived_ = {static_cast<uint8_t>(letter - 'A' + 1), static_cast<uint8_t>(from - 'A' + 1), times};
}

// ---- Presence ----

void Operands::check_presence() const {
  bool lacking = false;
  for (const Operand& operand : all_) {
    const bool is_given = operand.tensor() != nullptr;
    lacking |= operand.presence.is_required && !is_given;
    lacking |= operand.presence.together_with != nullptr &&
               is_given != (*operand.presence.together_with != nullptr);
  }
  if (lacking)
    refuse_presence();
}

void Operands::refuse_presence() const {
  for (const Operand& operand : all_) {
    if (operand.presence.is_required && operand.tensor() == nullptr)
      missing(*operand.field, "");
  }
  for (const Operand& operand : all_) {
    const Field other = operand.presence.together_with;
    if (other != nullptr && operand.tensor() == nullptr && *other != nullptr)
      missing(*operand.field, std::string(", as ") + (*this)[*other].name + " is given");
  }
}

void Operands::missing(const DLTensor* const& field, const std::string& why) const {
  const Operand& operand = (*this)[field];
  const std::string expected =
      operand.gradient_of != nullptr
          ? std::string("the shape and dtype of ") + (*this)[*operand.gradient_of].name
          : operand.types->words + (" " + names(*operand.shapes));
  invalid(std::string(operand.name) + " is missing, expected " + expected + why);
}

// ---- Types, shapes, memory ----

void Operands::check_tensors() {
  for (int k = 0; k < count_; ++k)
    check_type(k);
  for (int k = 0; k < count_; ++k) {
    check_shape(k);
    if (k == 0)
      check_packed();
    if (k == 0 && derived_.letter != 0)
      sizes_[derived_.letter] = derived_.times * sizes_[derived_.from];
    fill(k);
  }
}

void Operands::check_type(int number) {
  const Operand& operand = *given_[number];
  const DLTensor& tensor = *operand.tensor();
  const auto type = element_type(tensor.dtype);
  if (operand.gradient_of != nullptr) {
    const Operand& of = (*this)[*operand.gradient_of];
    if (of.tensor() == nullptr)
      invalid(std::string(operand.name) + " is wanted, expected " + of.name + " with it");
    if (std::memcmp(&tensor.dtype, &of.tensor()->dtype, sizeof tensor.dtype) != 0)
      mismatch(operand, text_of(*of.tensor()) + ", as " + of.name);
  }
  if (!type || !operand.types->has(*type))
    mismatch(operand, operand.types->names);
  types_[number] = *type;
}

const Pattern& Operands::pattern_of(const Operand& operand) const {
  return operand.shapes->of_form(std::countr_zero(forms_));
}

// Leaves the forms in which the operand has the tensor's rank. Where none is left, the first of
// those that there were says what was expected.
void Operands::narrow_forms(const Operand& operand) {
  const Shapes& shapes = *operand.shapes;
  if (shapes.count == 1)
    return;
  uint8_t left = 0;
  for (int k = 0; k < Shapes::kMaxForms; ++k) {
    if (shapes.of_form(k).rank == operand.tensor()->ndim)
      left |= static_cast<uint8_t>(forms_ & 1 << k);
  }
  if (left == 0 && forms_ == kEveryForm)
    mismatch(operand, "shape " + names(shapes));
  forms_ = left == 0 ? forms_ : left;
}

// Whether it has several elements per row.
bool Operands::has_columns(const Operand& operand) const {
  const Pattern& pattern = pattern_of(operand);
  return operand.columns != nullptr && pattern.letters[pattern.rank - 1] == 'K' - 'A' + 1;
}

// The first operand has the form that goes with cu_seqlens, or with none.
void Operands::check_packed() const {
  for (const Operand& operand : all_) {
    if (!operand.presence.is_packed)
      continue;
    const Operand& first = *given_[0];
    const Pattern &padded = first.shapes->patterns[0], &packed = first.shapes->patterns[1];
    const bool is_packed = &pattern_of(first) == &packed;
    if (is_packed == (operand.tensor() != nullptr))
      continue;
    mismatch(first,
             "shape " + (is_packed ? bracketed(padded.text) + ", or " + operand.name + " with " +
                                         bracketed(packed.text)
                                   : bracketed(packed.text) + " as " + operand.name + " is given"));
  }
}

bool Operands::matches(const DLTensor& tensor, const Pattern& pattern) {
  if (tensor.ndim != pattern.rank)
    return false;
  for (int d = 0; d < pattern.rank; ++d) {
    if (pattern.or_one[d] && tensor.shape[d] == 1)
      continue;
    int64_t& size = sizes_[pattern.letters[d]];
    const int64_t scaled = tensor.shape[d] - pattern.addends[d];
    if (size == kUnknown && scaled >= 0 && scaled % pattern.factors[d] == 0)
      size = scaled / pattern.factors[d];
    if (size == kUnknown || tensor.shape[d] != pattern.size(d, size))
      return false;
  }
  return true;
}

void Operands::check_shape(int number) {
  const Operand& operand = *given_[number];
  const DLTensor& tensor = *operand.tensor();
  if (!has_sizes(tensor))
    mismatch(operand, "sizes >= 0");
  narrow_forms(operand);
  const Pattern& pattern = pattern_of(operand);
  if (!matches(tensor, pattern))
    wrong_shape(number, pattern);
  if (const char* what = memory_fault(tensor, bytes_of(types_[number])))
    fault(operand, std::string(" ") + what);
  if (!has_vocabulary(operand))
    return;
  const int last = tensor.ndim - 1;
  if (tensor.shape[last] < 1) {
    const bool is_hidden = pattern.letters[last] == 'H' - 'A' + 1;
    mismatch(operand, is_hidden ? "a hidden size of at least 1" : "a vocabulary of at least 1");
  }
  if (tensor.shape[last] > 1 && stride_of(tensor, last) != 1)
    mismatch(operand, "a contiguous last dimension, not a stride of " +
                          std::to_string(stride_of(tensor, last)));
}

void Operands::fill(int number) const {
  const Operand& operand = *given_[number];
  if (has_vocabulary(operand))
    *operand.rows = rows_of(*operand.tensor(), types_[number]);
  else if (has_columns(operand))
    *operand.view = first_column_of(*operand.tensor(), types_[number], operand.columns);
  else
    *operand.view = view_of(*operand.tensor(), types_[number]);
  if (operand.is_output && overlaps_itself(region_of(number)))
    fault(operand, " with elements that share memory, expected memory for each element");
}

// ---- Overlap ----

Region Operands::region_of(int number) const {
  const Operand& operand = *given_[number];
  if (!has_vocabulary(operand)) {
    return has_columns(operand) ? abi::region_of(*operand.view, *operand.columns)
                                : abi::region_of(*operand.view);
  }
  const DLTensor& tensor = *operand.tensor();
  return abi::region_of(*operand.rows, tensor.ndim == 3 ? tensor.shape[0] : 1);
}

void Operands::check_apart() const {
  Extent extents[kMaxOperands];
  size_t count = 0;
  for (int k = 0; k < count_; ++k) {
    const Region region = region_of(k);
    if (!region.empty())
      extents[count++] = extent_of(region);
  }
  if (any_meet({extents, count}))
    compare_pieces();
}

// An output and any other operand, each two once.
void Operands::compare_pieces() const {
  for (int k = 0; k < count_; ++k) {
    const Operand& output = *given_[k];
    const Region region = region_of(k);
    for (int j = 0; output.is_output && !region.empty() && j < count_; ++j) {
      const Operand& other = *given_[j];
      const Region beside = region_of(j);
      if (j == k || (other.is_output && j < k) || beside.empty() ||
          !extent_of(region).meets(extent_of(beside)))
        continue;
      const bool may_be_same = output.gradient_of == other.field;
      if ((may_be_same && same_view(region, beside)) || !share_bytes(region, beside))
        continue;
      invalid(std::string(output.name) + " " + text_of(*output.tensor()) + " overlaps " +
              other.name + " " + text_of(*other.tensor()) + ", expected " +
              (may_be_same ? "exactly that tensor or " : "") + "memory of its own");
    }
  }
}

// ---- What a shape should have been ----

void Operands::wrong_shape(int number, const Pattern& pattern) const {
  const Operand& operand = *given_[number];
  const DLTensor& tensor = *operand.tensor();
  for (int d = 0; tensor.ndim == pattern.rank && d < pattern.rank; ++d) {
    if (pattern.letters[d] != 0 && pattern.addends[d] == 0 &&
        tensor.shape[d] % pattern.factors[d] != 0)
      mismatch(operand, "an even first dimension, chosen before rejected");
  }
  if (operand.gradient_of != nullptr)
    mismatch(operand,
             text_of(**operand.gradient_of) + ", as " + (*this)[*operand.gradient_of].name);
  const Operand* const from = source(number, pattern);
  mismatch(operand,
           "shape " + with_known(pattern) + (from == nullptr ? "" : ", as " + is_text(*from)));
}

// The operand that a shape's sizes are known by: one of the same shape, or of its letters.
const Operand* Operands::source(int number, const Pattern& pattern) const {
  const Operand* sharing = nullptr;
  for (int k = 0; k < number; ++k) {
    const Pattern& other = pattern_of(*given_[k]);
    if (std::strcmp(other.text, pattern.text) == 0)
      return given_[k];
    if (sharing == nullptr && (letters_of(other) & letters_of(pattern)) != 0)
      sharing = given_[k];
  }
  return sharing;
}

// One bit for each; a derived letter brings along the one that it is derived from.
uint32_t Operands::letters_of(const Pattern& pattern) const {
  uint32_t letters = 0;
  for (int d = 0; d < pattern.rank; ++d) {
    const uint8_t letter = pattern.letters[d];
    letters |= 1u << letter;
    if (letter != 0 && letter == derived_.letter)
      letters |= 1u << derived_.from;
  }
  return letters & ~1u;
}

// "[4, 3]", or "[4, V]" while V is unknown; as it was declared, "[N,V]", where nothing is known.
std::string Operands::with_known(const Pattern& pattern) const {
  bool is_any_known = false;
  std::string text;
  for (int d = 0; d < pattern.rank; ++d) {
    const uint8_t letter = pattern.letters[d];
    const bool is_known = sizes_[letter] != kUnknown;
    is_any_known |= is_known && letter != 0;
    const std::string size =
        is_known ? std::to_string(pattern.size(d, sizes_[letter])) : declared_size(pattern, d);
    text += (d > 0 ? ", " : "") + (pattern.or_one[d] ? "1|" + size : size);
  }
  return bracketed(is_any_known ? text : pattern.text);
}

}  // namespace logratio::abi
