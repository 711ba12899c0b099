// The quotas are found as HotSpot finds them, so that a JVM and the library in it count alike:
// /proc/self/cgroup says which group the process is in, /proc/self/mountinfo where groups are
// mounted, and the limit is that of the tightest group on the way up. A file that is missing, or
// that says something else, is no limit.
#include "cpu/cgroup.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace logratio::cpu {
namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  FILE* const file = std::fopen(path.c_str(), "re");
  if (file == nullptr)
    return lines;
  char* line = nullptr;
  size_t capacity = 0;
  for (ssize_t length; (length = getline(&line, &capacity, file)) >= 0;) {
    lines.emplace_back(line, static_cast<size_t>(length));
    if (lines.back().ends_with('\n'))
      lines.back().pop_back();
  }
  std::free(line);
  std::fclose(file);
  return lines;
}

// At most `most` parts; the last one keeps the separators that are left.
std::vector<std::string> split(const std::string& text, char separator, size_t most = SIZE_MAX) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (parts.size() + 1 < most) {
    const size_t end = text.find(separator, begin);
    if (end == std::string::npos)
      break;
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

bool has(const std::vector<std::string>& parts, const char* wanted) {
  return std::find(parts.begin(), parts.end(), wanted) != parts.end();
}

// mountinfo writes a space, a tab, a line feed and a backslash as a backslash and three octal
// digits.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t k = 0; k < text.size(); ++k) {
    unsigned code = 0;
    if (text[k] == '\\' && k + 4 <= text.size() &&
        std::from_chars(text.data() + k + 1, text.data() + k + 4, code, 8).ptr ==
            text.data() + k + 4) {
      plain.push_back(static_cast<char>(code));
      k += 3;
    } else {
      plain.push_back(text[k]);
    }
  }
  return plain;
}

std::optional<int64_t> number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<int64_t> number_in(const std::string& path) {
  const std::vector<std::string> lines = lines_of(path);
  return lines.empty() ? std::nullopt : number(lines.front());
}

// A quota of -1, or "max", is none.
std::optional<int64_t> cpus(std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0)
    return std::nullopt;
  return (*quota - 1) / *period + 1;
}

std::optional<int64_t> cpus_of_group(const std::string& folder, bool unified) {
  if (!unified)
    return cpus(number_in(folder + "/cpu.cfs_quota_us"), number_in(folder + "/cpu.cfs_period_us"));
  const std::vector<std::string> lines = lines_of(folder + "/cpu.max");
  if (lines.empty())
    return std::nullopt;
  const std::vector<std::string> parts = split(lines.front(), ' ');
  return parts.size() == 2 ? cpus(number(parts[0]), number(parts[1])) : std::nullopt;
}

// A hierarchy that may limit CPUs: version 2, or version 1 with the controller `cpu`.
struct Mount {
  bool unified;
  std::string root;    // the group that is mounted
  std::string folder;  // where it is
};

// "36 35 98:0 ROOT FOLDER OPTIONS [TAGS...] - TYPE SOURCE OPTIONS"
std::optional<Mount> parse_mount(const std::string& line) {
  const std::vector<std::string> fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 4)
    return std::nullopt;
  const bool unified = dash[1] == "cgroup2";
  if (!unified && !(dash[1] == "cgroup" && has(split(dash[3], ','), "cpu")))
    return std::nullopt;
  return Mount{unified, unescaped(fields[3]), unescaped(fields[4])};
}

// The group of this process in a mount's hierarchy, from lines "1:cpu,cpuacct:GROUP" or "0::GROUP".
std::optional<std::string> group_in(const Mount& mount, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    const std::vector<std::string> fields = split(line, ':', 3);
    if (fields.size() < 3)
      continue;
    if (mount.unified ? fields[0] == "0" && fields[1].empty() : has(split(fields[1], ','), "cpu"))
      return fields[2];
  }
  return std::nullopt;
}

// The way from the mounted group down to the process's, "" or "/a/b". A process that is not below
// it, as in a container that was given another group's name, has the limits of the mounted group.
std::string way_down(const Mount& mount, const std::string& group) {
  const std::string root = mount.root == "/" ? "" : mount.root;
  const bool below =
      group.starts_with(root) && (group.size() == root.size() || group[root.size()] == '/');
  std::string way = below ? group.substr(root.size()) : "";
  if (way == "/" || way.find("/..") != std::string::npos)
    way.clear();
  return way;
}

}  // namespace

std::optional<int64_t> cgroup_cpus(const std::string& root) {
  std::optional<int64_t> least;
  const std::vector<std::string> groups = lines_of(root + "/proc/self/cgroup");
  for (const std::string& line : lines_of(root + "/proc/self/mountinfo")) {
    const std::optional<Mount> mount = parse_mount(line);
    const std::optional<std::string> group = mount ? group_in(*mount, groups) : std::nullopt;
    if (!group)
      continue;
    for (std::string way = way_down(*mount, *group);; way.erase(way.rfind('/'))) {
      const std::optional<int64_t> limit =
          cpus_of_group(root + mount->folder + way, mount->unified);
      if (limit && (!least || *limit < *least))
        least = limit;
      if (way.empty())
        break;
    }
  }
  return least;
}

}  // namespace logratio::cpu
