/* The PC in the place of the ESP32: runs setup() and loop() until standard input ends. */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <string>

#include "Arduino.h"
#include "Preferences.h"
#include "WiFi.h"
#include "esp_timer.h"

void setup();
void loop();

HostSerial Serial;
HostWiFi WiFi;

static double rootMeanSquare = 0;
static bool isWifi = true;
static int levels[40];

int64_t esp_timer_get_time() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

uint32_t micros() { return static_cast<uint32_t>(esp_timer_get_time()); }
void delay(uint32_t ms) { usleep(ms * 1000); }
void delayMicroseconds(uint32_t us) { usleep(us); }
void configTime(long, int, const char *) {}
void pinMode(uint8_t, uint8_t) {}

void digitalWrite(uint8_t pin, uint8_t level) {
  if (levels[pin] != level) printf("pin %d %d\n", pin, level);
  levels[pin] = level;
}

uint32_t analogReadMilliVolts(uint8_t) {
  const double time = static_cast<double>(esp_timer_get_time()) / 1e6;
  const double volts = 1.65 + rootMeanSquare * sqrt(2) * sin(2 * M_PI * 50 * time);
  return static_cast<uint32_t>(lround(1000 * fmin(3.3, fmax(0, volts))));
}

void HostSerial::begin(unsigned long) { setvbuf(stdout, nullptr, _IOLBF, 0); }
void HostSerial::print(const char *text) { fputs(text, stdout); }
void HostSerial::println(const char *text) { puts(text); }
void HostSerial::println(const IPAddress &) { puts("127.0.0.1"); }

void HostWiFi::mode(wifi_mode_t) {}
void HostWiFi::setSleep(bool) {}
void HostWiFi::begin(const char *, const char *) {}
wl_status_t HostWiFi::status() { return isWifi ? WL_CONNECTED : WL_DISCONNECTED; }
IPAddress HostWiFi::localIP() { return {}; }
int8_t HostWiFi::RSSI() { return -65; }

static std::string path(const char *key) { return std::string(getenv("NVS_FILE")) + "." + key; }

bool Preferences::begin(const char *, bool) { return true; }

size_t Preferences::getBytesLength(const char *key) {
  FILE *file = fopen(path(key).c_str(), "rb");
  if (file == nullptr) return 0;
  fseek(file, 0, SEEK_END);
  const long length = ftell(file);
  fclose(file);
  return static_cast<size_t>(length);
}

size_t Preferences::getBytes(const char *key, void *bytes, size_t length) {
  FILE *file = fopen(path(key).c_str(), "rb");
  const size_t count = fread(bytes, 1, length, file);
  fclose(file);
  return count;
}

/* Whole or not at all, as NVS: the test pulls the plug at any time. */
size_t Preferences::putBytes(const char *key, const void *bytes, size_t length) {
  const std::string fresh = path(key) + ".new";
  FILE *file = fopen(fresh.c_str(), "wb");
  const size_t count = fwrite(bytes, 1, length, file);
  fclose(file);
  rename(fresh.c_str(), path(key).c_str());
  return count;
}

static void obey(const std::string &line) {
  if (line == "wifi on") isWifi = true;
  if (line == "wifi off") isWifi = false;
  if (line.rfind("volts ", 0) == 0) rootMeanSquare = atof(line.c_str() + 6);
}

int main() {
  std::string typed;
  setup();
  for (;;) {
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    if (poll(&input, 1, 0) > 0) {
      char letter;
      if (read(STDIN_FILENO, &letter, 1) != 1) return 0;
      if (letter == '\n') {
        obey(typed);
        typed.clear();
      } else {
        typed += letter;
      }
      continue;
    }
    loop();
  }
}
