// Reads a file line by line with a bound on the length of a line. Belongs to one thread.
#ifndef REWRAP_REKEY_LINE_READER_H_
#define REWRAP_REKEY_LINE_READER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"

namespace rewrap {

class LineReader {
 public:
  // open: kNotFound, kDenied, kIo; kInvalidArgument if it is not a regular file (it is read twice).
  static Result<LineReader> open(const std::string& path);
  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  // next gives the next line without its end, valid until the call after it; a line over
  // `kMaxLineLen` is cut there and `too_long` set. False at the end of the file. Errors: kIo.
  struct Line {
    std::string_view text;
    std::uint64_t number = 0;  // from 1
    bool too_long = false;
  };
  Result<bool> next(Line* line);

  [[nodiscard]] std::uint64_t position() const { return position_; }  // bytes handed out
  [[nodiscard]] std::uint64_t file_len() const { return file_len_; }

 private:
  LineReader(int fd, std::uint64_t file_len);
  Status fill();

  int fd_ = -1;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  // the unread part of the buffer
  std::size_t end_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t file_len_ = 0;
  std::uint64_t number_ = 0;
  bool at_end_ = false;
};

}  // namespace rewrap

#endif  // REWRAP_REKEY_LINE_READER_H_
