#pragma once
#include <Arduino.h>

enum wl_status_t { WL_CONNECTED = 3, WL_DISCONNECTED = 6 };
enum wifi_mode_t { WIFI_STA = 1 };

struct HostWiFi {
  void mode(wifi_mode_t mode);
  void setSleep(bool isEnabled);
  void begin(const char *network, const char *password);
  /* `wifi off` and `wifi on` on standard input. */
  wl_status_t status();
  IPAddress localIP();
  int8_t RSSI();
};
extern HostWiFi WiFi;
