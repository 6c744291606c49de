#include "quarter_readings.h"

#include <mbedtls/md.h>
#include <stdlib.h>
#include <string.h>

static const int64_t kQuarterMs = 900000;

void QuarterReadings::count(int64_t clockMs, int64_t total) {
  const int64_t now = clockMs / kQuarterMs;
  if (now == quarter_) return;
  const int64_t units = total - totalBefore_;
  /* A reading of 0 is not valid. */
  if (isWhole_ && now > quarter_ && units > 0) {
    if (size_ == kMost) acknowledged();
    waiting_[size_++] = {units, (quarter_ + 1) * kQuarterMs};
  }
  /* It began before the meter did. */
  isWhole_ = quarter_ >= 0;
  quarter_ = now;
  totalBefore_ = total;
}

void QuarterReadings::acknowledged() {
  memmove(&waiting_[0], &waiting_[1], (size_ - 1) * sizeof(QuarterReading));
  size_--;
}

static void sign(const char *text, const char *secretHex, char signature[65]) {
  uint8_t secret[32];
  for (size_t i = 0; i < sizeof secret; i++) {
    const char digits[3] = {secretHex[2 * i], secretHex[2 * i + 1], '\0'};
    secret[i] = (uint8_t)strtoul(digits, nullptr, 16);
  }
  uint8_t mac[32] = {};
  mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), secret, sizeof secret, (const uint8_t *)text,
                  strlen(text), mac);
  for (size_t i = 0; i < sizeof mac; i++) {
    signature[2 * i] = "0123456789abcdef"[mac[i] >> 4];
    signature[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
  }
  signature[64] = '\0';
}

Text readingText(const char *meterNo, const QuarterReading &reading, const char *secretHex) {
  Text canonical;
  canonical.add(meterNo).add("|").add(reading.units).add("|").add(reading.end);
  char signature[65];
  sign(canonical.c_str(), secretHex, signature);
  Text text;
  text.add("{\"meter_id\":\"").add(meterNo);
  text.add("\",\"kwh_amount\":").addKwh(reading.units);
  text.add(",\"reading_timestamp\":").add(reading.end);
  text.add(",\"device_signature\":\"").add(signature).add("\"}");
  return text;
}
