#pragma once
#include <stddef.h>

/* NVS as a file: the path stands in the environment, NVS_FILE. */
class Preferences {
 public:
  bool begin(const char *name, bool isReadOnly);
  size_t getBytesLength(const char *key);
  size_t getBytes(const char *key, void *bytes, size_t length);
  size_t putBytes(const char *key, const void *bytes, size_t length);
};
