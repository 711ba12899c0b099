// Keeps the library loadable on glibc 2.34 (RHEL 9, Amazon Linux 2023) when it is built where glibc
// is newer: the C++ runtime linked into it finds unwind tables through _dl_find_object, which
// exists from 2.35 on. This hidden definition takes its place with dl_iterate_phdr, which every
// glibc has. It runs only while an error is thrown.
#include <dlfcn.h>
#include <link.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE

namespace {

struct Search {
  ElfW(Addr) address;
  dl_find_object* result;
};

int visit(dl_phdr_info* object, size_t, void* data) {
  const auto* search = static_cast<const Search*>(data);
  const ElfW(Phdr)* unwind_table = nullptr;
  bool contains = false;
  for (int k = 0; k < object->dlpi_phnum; ++k) {
    const ElfW(Phdr)& header = object->dlpi_phdr[k];
    const ElfW(Addr) start = object->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_GNU_EH_FRAME)
      unwind_table = &header;
    if (header.p_type != PT_LOAD || search->address < start ||
        search->address >= start + header.p_memsz)
      continue;
    contains = true;
    search->result->dlfo_map_start = reinterpret_cast<void*>(start);
    search->result->dlfo_map_end = reinterpret_cast<void*>(start + header.p_memsz);
  }
  if (!contains || unwind_table == nullptr)
    return 0;
  search->result->dlfo_eh_frame =
      reinterpret_cast<void*>(object->dlpi_addr + unwind_table->p_vaddr);
  return 1;
}

}  // namespace

extern "C" int _dl_find_object(void* address, dl_find_object* result) noexcept {
  *result = {};
  Search search{reinterpret_cast<ElfW(Addr)>(address), result};
  return dl_iterate_phdr(visit, &search) == 1 ? 0 : -1;
}

#endif
