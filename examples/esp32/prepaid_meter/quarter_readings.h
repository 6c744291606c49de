#pragma once
#include <stddef.h>
#include <stdint.h>

#include "text.h"

/* Energy of one quarter of an hour ([M-1]); in ten-thousandths of a kWh, its end in Unix ms. */
struct QuarterReading {
  int64_t units;
  int64_t end;
};

/* Optional: interval readings beside the consumption reports. A day of them waits in RAM while there is no network. */
class QuarterReadings {
 public:
  static const size_t kMost = 96;

  /* `total` is what the meter has counted so far; call it at least once in a quarter of an hour. */
  void count(int64_t clockMs, int64_t total);
  /* The oldest, or null. */
  const QuarterReading *oldest() const { return size_ == 0 ? nullptr : &waiting_[0]; }
  void acknowledged();

 private:
  QuarterReading waiting_[kMost];
  size_t size_ = 0;
  int64_t quarter_ = -1;
  bool isWhole_ = false;
  int64_t totalBefore_ = 0;
};

/* The reading, signed by HMAC-SHA256 over `meter_id|energy|time` with the device's secret of 64 hex digits. */
Text readingText(const char *meterNo, const QuarterReading &reading, const char *secretHex);
