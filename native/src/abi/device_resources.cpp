// Devices, memory, streams and events, by the runtime of the library that runs the kernels. It
// checks what it is given; here only what the library itself reads or writes through.
#include <string>
#include <type_traits>

#include "abi/device.h"
#include "abi/errors.h"

using namespace logratio;
using device::Execution;
using device::Resources;

namespace {

struct Required {
  const char* name;
  const void* value;
};

template <class... Arguments>
lr_status call(DLDeviceType device_type, int32_t device_id, void* stream,
               std::initializer_list<Required> required,
               lr_status (*Resources::*function)(Execution*, Arguments...),
               std::type_identity_t<Arguments>... arguments) {
  return abi::guarded({}, [&] {
    abi::check_device_type(device_type);
    for (const Required& argument : required) {
      if (argument.value == nullptr)
        abi::invalid(std::string(argument.name) + " is NULL, and it is required");
    }
    Execution execution{device_id, stream, nullptr, 0, nullptr, ""};
    const auto run = abi::table_of(device_type).resources.*function;
    const lr_status status = run(&execution, arguments...);
    if (status != LR_OK)
      throw abi::Error(status, execution.error);
  });
}

}  // namespace

lr_status lr_device_count(DLDeviceType device_type, int32_t* count) {
  return call(device_type, 0, nullptr, {{"count", count}}, &Resources::count, count);
}

lr_status lr_device_current(DLDeviceType device_type, int32_t* device_id) {
  return call(device_type, 0, nullptr, {{"device_id", device_id}}, &Resources::current, device_id);
}

lr_status lr_device_make_current(DLDeviceType device_type, int32_t device_id) {
  return call(device_type, device_id, nullptr, {}, &Resources::make_current);
}

lr_status lr_device_synchronize(DLDeviceType device_type, int32_t device_id) {
  return call(device_type, device_id, nullptr, {}, &Resources::synchronize);
}

lr_status lr_device_memory(DLDeviceType device_type, int32_t device_id, uint64_t* free_bytes,
                           uint64_t* total_bytes) {
  return call(device_type, device_id, nullptr,
              {{"free_bytes", free_bytes}, {"total_bytes", total_bytes}}, &Resources::memory,
              free_bytes, total_bytes);
}

lr_status lr_device_allocate(DLDeviceType device_type, int32_t device_id, uint64_t bytes,
                             void** memory) {
  if (bytes == 0)
    return abi::guarded({}, [] { abi::invalid("bytes is 0, expected at least 1"); });
  return call(device_type, device_id, nullptr, {{"memory", memory}}, &Resources::allocate, bytes,
              memory);
}

lr_status lr_device_free(DLDeviceType device_type, int32_t device_id, void* memory) {
  return call(device_type, device_id, nullptr, {{"memory", memory}}, &Resources::free, memory);
}

lr_status lr_device_fill(DLDeviceType device_type, int32_t device_id, void* stream, void* memory,
                         int32_t value, uint64_t bytes) {
  return call(device_type, device_id, stream, {{"memory", memory}}, &Resources::fill, memory, value,
              bytes);
}

lr_status lr_device_copy(DLDeviceType device_type, int32_t device_id, void* stream, void* to,
                         const void* from, uint64_t bytes) {
  return call(device_type, device_id, stream, {{"to", to}, {"from", from}}, &Resources::copy, to,
              from, bytes);
}

lr_status lr_device_pin(DLDeviceType device_type, int32_t device_id, void* memory, uint64_t bytes) {
  return call(device_type, device_id, nullptr, {{"memory", memory}}, &Resources::pin, memory,
              bytes);
}

lr_status lr_device_unpin(DLDeviceType device_type, int32_t device_id, void* memory) {
  return call(device_type, device_id, nullptr, {{"memory", memory}}, &Resources::unpin, memory);
}

lr_status lr_stream_create(DLDeviceType device_type, int32_t device_id, void** stream) {
  return call(device_type, device_id, nullptr, {{"stream", stream}}, &Resources::create_stream,
              stream);
}

lr_status lr_stream_destroy(DLDeviceType device_type, int32_t device_id, void* stream) {
  return call(device_type, device_id, stream, {{"stream", stream}}, &Resources::destroy_stream);
}

lr_status lr_stream_synchronize(DLDeviceType device_type, int32_t device_id, void* stream) {
  return call(device_type, device_id, stream, {}, &Resources::synchronize_stream);
}

lr_status lr_stream_query(DLDeviceType device_type, int32_t device_id, void* stream,
                          int32_t* done) {
  return call(device_type, device_id, stream, {{"done", done}}, &Resources::query_stream, done);
}

lr_status lr_stream_wait(DLDeviceType device_type, int32_t device_id, void* stream, void* event) {
  return call(device_type, device_id, stream, {{"event", event}}, &Resources::wait, event);
}

lr_status lr_event_create(DLDeviceType device_type, int32_t device_id, void** event) {
  return call(device_type, device_id, nullptr, {{"event", event}}, &Resources::create_event, event);
}

lr_status lr_event_destroy(DLDeviceType device_type, int32_t device_id, void* event) {
  return call(device_type, device_id, nullptr, {{"event", event}}, &Resources::destroy_event,
              event);
}

lr_status lr_event_record(DLDeviceType device_type, int32_t device_id, void* event, void* stream) {
  return call(device_type, device_id, stream, {{"event", event}}, &Resources::record, event);
}

lr_status lr_event_synchronize(DLDeviceType device_type, int32_t device_id, void* event) {
  return call(device_type, device_id, nullptr, {{"event", event}}, &Resources::synchronize_event,
              event);
}

lr_status lr_event_query(DLDeviceType device_type, int32_t device_id, void* event, int32_t* done) {
  return call(device_type, device_id, nullptr, {{"event", event}, {"done", done}},
              &Resources::query_event, event, done);
}

lr_status lr_event_elapsed(DLDeviceType device_type, int32_t device_id, void* start, void* end,
                           double* milliseconds) {
  return call(device_type, device_id, nullptr,
              {{"start", start}, {"end", end}, {"milliseconds", milliseconds}}, &Resources::elapsed,
              start, end, milliseconds);
}
