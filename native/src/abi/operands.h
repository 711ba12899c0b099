// The tensors of a call, checked against their declarations: what Java's Call does, in the same
// order and with the same words, so that either border may be the one that refuses.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "abi/operand.h"
#include "abi/overlap.h"

namespace logratio::abi {

class Operands {
 public:
  template <size_t count>
  explicit Operands(const Operand (&list)[count]) : Operands(std::span<const Operand>(list)) {
    static_assert(count <= kMaxOperands);
  }

  // The operand of a field.
  const Operand& operator[](const DLTensor* const& field) const;

  // Says that a letter stands for so many times the size of another, which the first operand has.
  void derive(char letter, int64_t times, char from);

  // Required operands are there, and those that come together.
  void check_presence() const;

  // Types first, then shapes and memory; the call struct receives the views of what is there.
  void check_tensors();

  // No output shares memory with another operand.
  void check_apart() const;

  // The size that a letter stands for.
  int64_t size(char letter) const { return sizes_[letter - 'A' + 1]; }

  // "NAME is missing, expected float [P]", with what else is to say of it.
  [[noreturn, gnu::cold]] void missing(const DLTensor* const& field, const std::string& why) const;

 private:
  static constexpr int kMaxOperands = 24;
  static constexpr int kLetters = 'Z' - 'A' + 2;  // the first is none, of size 1
  static constexpr int64_t kUnknown = -1;
  static constexpr uint8_t kEveryForm = (1 << Shapes::kMaxForms) - 1;

  explicit Operands(std::span<const Operand> all);

  void check_type(int number);
  void check_shape(int number);
  void fill(int number) const;
  void narrow_forms(const Operand& operand);
  bool matches(const DLTensor& tensor, const Pattern& pattern);
  Region region_of(int number) const;
  const Pattern& pattern_of(const Operand& operand) const;
  bool has_columns(const Operand& operand) const;

  // What failed, once it is known that something did.
  [[gnu::cold]] void refuse_presence() const;
  void compare_pieces() const;
  [[noreturn, gnu::cold]] void wrong_shape(int number, const Pattern& pattern) const;
  const Operand* source(int number, const Pattern& pattern) const;
  uint32_t letters_of(const Pattern& pattern) const;
  std::string with_known(const Pattern& pattern) const;

  std::span<const Operand> all_;
  const Operand* given_[kMaxOperands];
  ElementType types_[kMaxOperands];  // of what is given
  int count_ = 0;
  int64_t sizes_[kLetters];
  uint8_t forms_ = kEveryForm;  // bit k: the tensors so far may be those of form k
  struct {
    uint8_t letter = 0, from = 0;
    int64_t times = 0;
  } derived_;
};

// "NAME is F32 [4]".
std::string is_text(const Operand& operand);

// The same, with ", expected ...".
[[noreturn, gnu::cold]] void mismatch(const Operand& operand, const std::string& expected);

}  // namespace logratio::abi
