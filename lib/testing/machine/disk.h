// Layer testing. What do all files of the machine share?
#ifndef WEFT_LIB_TESTING_MACHINE_DISK_H_
#define WEFT_LIB_TESTING_MACHINE_DISK_H_

#include <cstdint>
#include <memory>

#include "lib/testing/machine/chance.h"
#include "lib/testing/machine/contents.h"
#include "lib/testing/machine/inode.h"
#include "lib/testing/machine/wire.h"

namespace weft::internal::machine {

struct Disk {
  // As the root of an ordinary file system.
  static constexpr uint64_t kRootNumber = 2;

  Disk(Chance& its_chance, const Wire& its_wire, uint64_t capacity_bytes)
      : chance(its_chance), wire(its_wire), space(capacity_bytes / Contents::kPageBytes) {}

  std::shared_ptr<Inode> Make(mode_t mode) { return std::make_shared<Inode>(++last_number, mode, wire.WallNanos()); }

  // Whoever takes away a name or closes a file: if it was the last, the pages are free.
  void GiveBackUnused(Inode& inode) {
    if (inode.links == 0 && inode.opened == 0) inode.state.contents.Resize(0, space);
  }

  Chance& chance;
  const Wire& wire;
  Space space;
  uint64_t last_number = kRootNumber - 1;
  uint64_t opened = 0;  // files
  std::shared_ptr<Inode> root;
};

}  // namespace weft::internal::machine

#endif  // WEFT_LIB_TESTING_MACHINE_DISK_H_
