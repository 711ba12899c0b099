// Devices, memory, streams and events behind the C ABI, on the emulator.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr DLDeviceType kEmulator = kDLExtDev;

testing::AssertionResult fails(lr_status status, lr_status expected, const std::string& text) {
  if (status == expected && text == lr_last_error())
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "status " << status << ", \"" << lr_last_error() << '"';
}

// An object of CUDA's, of whose making and end the C functions tell.
class Resource {
 public:
  using Make = lr_status (*)(DLDeviceType, int32_t, void**);
  using End = lr_status (*)(DLDeviceType, int32_t, void*);
  Resource(Make make, End end) : end_(end) {
    EXPECT_EQ(make(kEmulator, 0, &handle_), LR_OK) << lr_last_error();
    EXPECT_NE(handle_, nullptr);
  }
  ~Resource() { EXPECT_EQ(end_(kEmulator, 0, handle_), LR_OK) << lr_last_error(); }
  Resource(const Resource&) = delete;
  operator void*() const { return handle_; }

 private:
  End end_;
  void* handle_ = nullptr;
};
struct Stream : Resource {
  Stream() : Resource(lr_stream_create, lr_stream_destroy) {}
};
struct Event : Resource {
  Event() : Resource(lr_event_create, lr_event_destroy) {}
};

void* allocate(uint64_t bytes) {
  void* memory = nullptr;
  EXPECT_EQ(lr_device_allocate(kEmulator, 0, bytes, &memory), LR_OK) << lr_last_error();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0u);
  return memory;
}

TEST(DeviceResources, Devices) {
  int32_t count = 0, current = -1;
  EXPECT_EQ(lr_device_count(kEmulator, &count), LR_OK);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(lr_device_current(kEmulator, &current), LR_OK);
  EXPECT_EQ(current, 0);
  EXPECT_EQ(lr_device_make_current(kEmulator, 0), LR_OK);
  EXPECT_EQ(lr_device_synchronize(kEmulator, 0), LR_OK);
  const std::string text = "there is no emulated device 1, only number 0";
  EXPECT_TRUE(fails(lr_device_make_current(kEmulator, 1), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_device_synchronize(kEmulator, 1), LR_UNAVAILABLE, text));
  void* out = nullptr;
  EXPECT_TRUE(fails(lr_device_allocate(kEmulator, 1, 1, &out), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_stream_create(kEmulator, -1, &out), LR_UNAVAILABLE,
                    "there is no emulated device -1, only number 0"));
  EXPECT_EQ(out, nullptr);
}

TEST(DeviceResources, MemoryIsCopiedAndFilled) {
  const std::vector<uint8_t> from = {1, 2, 3, 4, 5, 6, 7};
  std::vector<uint8_t> to(7, 99);
  Stream stream;
  void* const a = allocate(7);
  void* const b = allocate(7);
  EXPECT_EQ(lr_device_copy(kEmulator, 0, stream, a, from.data(), 7), LR_OK);
  EXPECT_EQ(lr_device_copy(kEmulator, 0, stream, b, a, 7), LR_OK);
  EXPECT_EQ(lr_device_fill(kEmulator, 0, stream, static_cast<uint8_t*>(b) + 2, 0x1ab, 3), LR_OK);
  EXPECT_EQ(lr_device_copy(kEmulator, 0, stream, to.data(), b, 7), LR_OK);
  EXPECT_EQ(lr_stream_synchronize(kEmulator, 0, stream), LR_OK);
  EXPECT_EQ(to, (std::vector<uint8_t>{1, 2, 0xab, 0xab, 0xab, 6, 7}));
  EXPECT_TRUE(fails(lr_device_fill(kEmulator, 0, stream, b, 0, 8), LR_INTERNAL,
                    "cudaMemsetAsync failed: cudaErrorInvalidValue, invalid argument"));
  EXPECT_EQ(lr_device_free(kEmulator, 0, a), LR_OK);
  EXPECT_EQ(lr_device_free(kEmulator, 0, b), LR_OK);
  EXPECT_TRUE(fails(lr_device_free(kEmulator, 0, b), LR_INTERNAL,
                    "cudaFree failed: cudaErrorInvalidValue, invalid argument"));
}

TEST(DeviceResources, MemoryIsCounted) {
  lr_device_info info{};
  info.size = sizeof info;
  ASSERT_EQ(lr_device(kEmulator, 0, &info), LR_OK);
  uint64_t before = 0, within = 0, after = 0, total = 0;
  EXPECT_EQ(lr_device_memory(kEmulator, 0, &before, &total), LR_OK);
  EXPECT_EQ(total, info.memory_bytes);
  void* const memory = allocate(1000);
  EXPECT_EQ(lr_device_memory(kEmulator, 0, &within, &total), LR_OK);
  EXPECT_EQ(within, before - 1000);
  EXPECT_EQ(lr_device_free(kEmulator, 0, memory), LR_OK);
  EXPECT_EQ(lr_device_memory(kEmulator, 0, &after, &total), LR_OK);
  EXPECT_EQ(after, before);
}

TEST(DeviceResources, MemoryRunsOut) {
  void* memory = nullptr;
  EXPECT_TRUE(fails(lr_device_allocate(kEmulator, 0, uint64_t{1} << 60, &memory), LR_OUT_OF_MEMORY,
                    "cudaMalloc of 1152921504606846976 bytes failed: cudaErrorMemoryAllocation, "
                    "out of memory"));
  EXPECT_TRUE(fails(lr_device_allocate(kEmulator, 0, UINT64_MAX, &memory), LR_OUT_OF_MEMORY,
                    "cudaMalloc of 18446744073709551615 bytes failed: cudaErrorMemoryAllocation, "
                    "out of memory"));
  EXPECT_EQ(memory, nullptr);
}

TEST(DeviceResources, HostMemoryIsPinnedOnce) {
  std::vector<uint8_t> memory(64);
  EXPECT_EQ(lr_device_pin(kEmulator, 0, memory.data(), 64), LR_OK);
  EXPECT_TRUE(fails(lr_device_pin(kEmulator, 0, memory.data(), 64), LR_INTERNAL,
                    "cudaHostRegister of 64 bytes failed: cudaErrorHostMemoryAlreadyRegistered, "
                    "part or all of the requested memory range is already mapped"));
  EXPECT_EQ(lr_device_unpin(kEmulator, 0, memory.data()), LR_OK);
  EXPECT_TRUE(fails(lr_device_unpin(kEmulator, 0, memory.data()), LR_INTERNAL,
                    "cudaHostUnregister failed: cudaErrorHostMemoryNotRegistered, pointer does not "
                    "correspond to a registered memory region"));
}

TEST(DeviceResources, StreamsAndEvents) {
  Stream stream, other;
  Event start, end;
  double milliseconds = -1;
  EXPECT_TRUE(fails(lr_event_elapsed(kEmulator, 0, start, end, &milliseconds), LR_INTERNAL,
                    "cudaEventElapsedTime failed: cudaErrorInvalidResourceHandle, invalid resource "
                    "handle"));
  EXPECT_EQ(milliseconds, -1);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(lr_event_record(kEmulator, 0, start, stream), LR_OK);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(lr_event_record(kEmulator, 0, end, stream), LR_OK);
  const std::chrono::duration<double, std::milli> most = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(lr_stream_wait(kEmulator, 0, other, end), LR_OK);
  EXPECT_EQ(lr_event_synchronize(kEmulator, 0, end), LR_OK);
  EXPECT_EQ(lr_event_elapsed(kEmulator, 0, start, end, &milliseconds), LR_OK);
  EXPECT_GE(milliseconds, 20);
  EXPECT_LE(milliseconds, most.count());
  int32_t done = 0;
  EXPECT_EQ(lr_event_query(kEmulator, 0, end, &done), LR_OK);
  EXPECT_EQ(done, 1);
  done = 0;
  EXPECT_EQ(lr_stream_query(kEmulator, 0, other, &done), LR_OK);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(lr_stream_synchronize(kEmulator, 0, nullptr), LR_OK);
}

TEST(DeviceResources, HandlesOfNothing) {
  void* const nothing = reinterpret_cast<void*>(0x12345);
  int32_t done;
  const auto text = [](const char* call) {
    return std::string(call) + " failed: cudaErrorInvalidResourceHandle, invalid resource handle";
  };
  const auto wrong = [&](lr_status status, const char* call) {
    return fails(status, LR_INTERNAL, text(call));
  };
  Stream stream;
  Event event;
  EXPECT_TRUE(wrong(lr_stream_destroy(kEmulator, 0, nothing), "cudaStreamDestroy"));
  EXPECT_TRUE(wrong(lr_stream_synchronize(kEmulator, 0, nothing), "cudaStreamSynchronize"));
  EXPECT_TRUE(wrong(lr_stream_query(kEmulator, 0, nothing, &done), "cudaStreamQuery"));
  EXPECT_TRUE(wrong(lr_stream_wait(kEmulator, 0, nothing, event), "cudaStreamWaitEvent"));
  EXPECT_TRUE(wrong(lr_stream_wait(kEmulator, 0, stream, nothing), "cudaStreamWaitEvent"));
  EXPECT_TRUE(wrong(lr_event_destroy(kEmulator, 0, nothing), "cudaEventDestroy"));
  EXPECT_TRUE(wrong(lr_event_record(kEmulator, 0, nothing, stream), "cudaEventRecord"));
  EXPECT_TRUE(wrong(lr_event_record(kEmulator, 0, event, nothing), "cudaEventRecord"));
  EXPECT_TRUE(wrong(lr_event_synchronize(kEmulator, 0, nothing), "cudaEventSynchronize"));
  EXPECT_TRUE(wrong(lr_event_query(kEmulator, 0, nothing, &done), "cudaEventQuery"));
  uint8_t byte = 0;
  EXPECT_TRUE(wrong(lr_device_copy(kEmulator, 0, nothing, &byte, &byte, 1), "cudaMemcpyAsync"));
}

TEST(DeviceResources, Arguments) {
  const auto refused = [](lr_status status, const char* text) {
    return fails(status, LR_INVALID_ARGUMENT, text);
  };
  int32_t number;
  void* handle;
  double time;
  EXPECT_TRUE(
      refused(lr_device_count(kDLCPU, &number), "device_type is 1, expected kDLCUDA or kDLExtDev"));
  EXPECT_TRUE(refused(lr_stream_create(kDLCUDAHost, 0, &handle),
                      "device_type is 3, expected kDLCUDA or kDLExtDev"));
  EXPECT_TRUE(refused(lr_device_count(kEmulator, nullptr), "count is NULL, and it is required"));
  EXPECT_TRUE(
      refused(lr_device_current(kEmulator, nullptr), "device_id is NULL, and it is required"));
  EXPECT_TRUE(
      refused(lr_device_allocate(kEmulator, 0, 0, &handle), "bytes is 0, expected at least 1"));
  EXPECT_TRUE(
      refused(lr_device_allocate(kEmulator, 0, 1, nullptr), "memory is NULL, and it is required"));
  EXPECT_TRUE(refused(lr_device_copy(kEmulator, 0, nullptr, nullptr, &number, 1),
                      "to is NULL, and it is required"));
  EXPECT_TRUE(refused(lr_device_copy(kEmulator, 0, nullptr, &number, nullptr, 1),
                      "from is NULL, and it is required"));
  EXPECT_TRUE(
      refused(lr_stream_destroy(kEmulator, 0, nullptr), "stream is NULL, and it is required"));
  EXPECT_TRUE(refused(lr_event_record(kEmulator, 0, nullptr, nullptr),
                      "event is NULL, and it is required"));
  EXPECT_TRUE(refused(lr_event_elapsed(kEmulator, 0, &number, nullptr, &time),
                      "end is NULL, and it is required"));
}

// The same sentence from every function where there is no GPU.
TEST(DeviceResources, CudaSaysWhatIsMissing) {
  lr_device_info info{};
  info.size = sizeof info;
  if (lr_device(kDLCUDA, 0, &info) == LR_OK)
    GTEST_SKIP() << "there is a GPU";
  const std::string text = lr_last_error();
  int32_t number;
  void* handle;
  EXPECT_TRUE(fails(lr_device_count(kDLCUDA, &number), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_device_current(kDLCUDA, &number), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_device_make_current(kDLCUDA, 0), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_device_allocate(kDLCUDA, 0, 1, &handle), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_stream_synchronize(kDLCUDA, 0, nullptr), LR_UNAVAILABLE, text));
  EXPECT_TRUE(fails(lr_event_create(kDLCUDA, 0, &handle), LR_UNAVAILABLE, text));
}

#ifndef __SANITIZE_ADDRESS__
TEST(DeviceResources, InAChildOfFork) {
  void* const memory = allocate(16);
  EXPECT_EQ(in_child([&] {
              void* stream = nullptr;
              return lr_stream_create(kEmulator, 0, &stream) == LR_OK &&
                     lr_device_fill(kEmulator, 0, stream, memory, 1, 16) == LR_OK &&
                     lr_device_free(kEmulator, 0, memory) == LR_OK;
            }),
            "");
  EXPECT_EQ(lr_device_free(kEmulator, 0, memory), LR_OK);
}
#endif

}  // namespace
}  // namespace logratio::test
