#include "lib/testing/machine/file_system.h"
namespace weft::internal::machine {
std::string FileObject::Describe() const { return ""; }
uint32_t FileObject::Readiness() const noexcept { return 0; }
int64_t FileObject::Read(Parts) { return -ENOSYS; }
int64_t FileObject::Write(Parts) { return -ENOSYS; }
int FileObject::Stat(struct stat&) { return -ENOSYS; }
int64_t FileObject::ReadAt(Parts, int64_t) { return -ENOSYS; }
int64_t FileObject::WriteAt(Parts, int64_t, bool) { return -ENOSYS; }
int FileObject::Sync() { return -ENOSYS; }
int FileObject::Truncate(int64_t) { return -ENOSYS; }
int FileObject::Allocate(int, int64_t, int64_t) { return -ENOSYS; }
int FileObject::Lock(int) { return -ENOSYS; }
int FileObject::ChangeMode(mode_t) { return -ENOSYS; }
int64_t FileObject::ReadDirectory(void*, size_t) { return -ENOSYS; }
FileSystem::FileSystem(Chance&, const Wire&, uint64_t) {}
FileSystem::~FileSystem() = default;
int FileSystem::Open(FileObject*, const char*, int, mode_t, std::shared_ptr<OpenObject>&) { return -ENOSYS; }
int FileSystem::Stat(FileObject*, const char*, struct stat&, int) { return -ENOSYS; }
int FileSystem::Unlink(FileObject*, const char*, int) { return -ENOSYS; }
int FileSystem::Rename(FileObject*, const char*, FileObject*, const char*, unsigned) { return -ENOSYS; }
int FileSystem::Link(FileObject*, const char*, FileObject*, const char*, int) { return -ENOSYS; }
int FileSystem::MakeDirectory(FileObject*, const char*, mode_t) { return -ENOSYS; }
int FileSystem::MakeSymbolicLink(const char*, FileObject*, const char*) { return -ENOSYS; }
int64_t FileSystem::ReadLink(FileObject*, const char*, char*, size_t) { return -ENOSYS; }
int64_t FileSystem::CopyRange(FileObject&, int64_t*, FileObject&, int64_t*, size_t) { return -ENOSYS; }
int64_t FileSystem::MakeSocketFile(const char*) { return -ENOSYS; }
int64_t FileSystem::FindSocketFile(const char*) { return -ENOSYS; }
void FileSystem::LosePower() {}
}
