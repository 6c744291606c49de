/* The part of Arduino that the sketch uses, on a PC: real time, pins that are printed, a current that is set. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 3

void pinMode(uint8_t pin, uint8_t mode);
/* Prints `pin 26 1` when it changes. */
void digitalWrite(uint8_t pin, uint8_t level);
uint32_t micros();
void delay(uint32_t ms);
void delayMicroseconds(uint32_t us);
/* A 50 Hz wave around 1650 mV; `volts 0.5` on standard input sets its root mean square. */
uint32_t analogReadMilliVolts(uint8_t pin);
void configTime(long zone, int summer, const char *server);

class IPAddress {};

struct HostSerial {
  void begin(unsigned long baud);
  void print(const char *text);
  void println(const char *text);
  void println(const IPAddress &address);
};
extern HostSerial Serial;
