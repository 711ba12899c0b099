// The probes move the bytes that they say, at every length around a block's stretch, and refuse
// what the CPU's probe refuses.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "logratio.h"

namespace logratio::test {
namespace {

constexpr size_t kBlockBytes = 512 * 8 * 16;

class Bytes {
 public:
  explicit Bytes(size_t count)
      : memory_(static_cast<uint8_t*>(std::aligned_alloc(16, count)), &std::free) {}
  uint8_t* get() const { return memory_.get(); }

 private:
  std::unique_ptr<uint8_t, void (*)(void*)> memory_;
};

lr_status probe(int32_t kind, void* source, void* destination, uint64_t bytes) {
  return lr_device_bandwidth_probe(kind, kDLExtDev, 0, nullptr, source, destination, bytes);
}

TEST(DeviceBandwidth, CopiesAllAndNoMore) {
  for (const size_t bytes : {size_t{0}, size_t{16}, kBlockBytes - 16, kBlockBytes, kBlockBytes + 16,
                             3 * kBlockBytes + 48}) {
    const Bytes source(bytes + 16), destination(bytes + 16);
    std::iota(source.get(), source.get() + bytes + 16, uint8_t{1});
    std::vector<uint8_t> before(source.get(), source.get() + bytes + 16);
    std::memset(destination.get(), 0xee, bytes + 16);
    ASSERT_EQ(probe(LR_BANDWIDTH_COPY, source.get(), destination.get(), bytes), LR_OK)
        << lr_last_error();
    EXPECT_EQ(std::memcmp(destination.get(), before.data(), bytes), 0);
    EXPECT_EQ(destination.get()[bytes], 0xee);
    for (const int32_t kind : {LR_BANDWIDTH_READ, LR_BANDWIDTH_UPDATE}) {
      ASSERT_EQ(probe(kind, source.get(), nullptr, bytes), LR_OK) << lr_last_error();
      EXPECT_EQ(std::memcmp(source.get(), before.data(), bytes + 16), 0);
    }
  }
}

TEST(DeviceBandwidth, RefusesWhatIsWrong) {
  const Bytes memory(256);
  const auto fails = [](lr_status status, const std::string& text) {
    return status == LR_INVALID_ARGUMENT && lr_last_error() == text
               ? testing::AssertionSuccess()
               : testing::AssertionFailure() << status << ' ' << lr_last_error();
  };
  EXPECT_TRUE(
      fails(probe(3, memory.get(), nullptr, 16),
            "kind is 3, expected LR_BANDWIDTH_READ, LR_BANDWIDTH_COPY or LR_BANDWIDTH_UPDATE"));
  EXPECT_TRUE(
      fails(probe(LR_BANDWIDTH_READ, nullptr, nullptr, 16), "source is NULL, and it is required"));
  EXPECT_TRUE(fails(probe(LR_BANDWIDTH_COPY, memory.get(), memory.get() + 16, 32),
                    "destination shares memory with source, expected separate memory"));
  EXPECT_TRUE(fails(probe(LR_BANDWIDTH_READ, memory.get() + 8, nullptr, 16),
                    "source or destination is not aligned to 16 bytes"));
  EXPECT_TRUE(fails(probe(LR_BANDWIDTH_READ, memory.get(), nullptr, 24),
                    "bytes is 24, expected a multiple of 16"));
  EXPECT_TRUE(fails(
      lr_device_bandwidth_probe(LR_BANDWIDTH_READ, kDLCPU, 0, nullptr, memory.get(), nullptr, 16),
      "device_type is 1, expected kDLCUDA or kDLExtDev"));
}

}  // namespace
}  // namespace logratio::test
