import time
import logging

logging.basicConfig(level=logging.INFO)

def main():
    while True:
        with open("heartbeat.txt", "w") as f:
            f.write(str(time.time()))
        logging.info("Heartbeat sent")
        time.sleep(5)

if __name__ == "__main__":
    main()
