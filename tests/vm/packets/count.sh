net tcp 127.0.0.1 4242 20000
net tcp ::1 4242 1000
net tcp 127.0.0.1 4243 1
net tcp ::1 4243 1
net udp 127.0.0.1 53 10
net udp 127.0.0.1 54 10
net udp 127.0.0.1 53 60000
ip link set lo mtu 1500
net udp 127.0.0.1 53 4000
ip link set lo mtu 65536
ping -c1 127.0.0.1
net full 127.0.0.1 4300
a ping -c1 10.2.0.2
a ping -c1 -W1 10.99.0.2
a ping -c1 -W1 -s 3000 10.2.0.2
sleep 0.2
