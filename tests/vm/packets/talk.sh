net sniff > /tmp/sniffed &
sniffer=$!
until grep -q ready /tmp/sniffed; do sleep 0.05; done
a net tcp 10.2.0.2 4242 100
a net tcp fd02::2 4242 100
a net tcp 10.1.0.1 4242 100
a net tcp fd01::1 4242 100
net tcp 10.2.0.2 4242 10
a net udp 10.2.0.2 53 60
a net udp fd02::2 53 61
a net tcp 10.2.0.2 4243 10
a ping -c1 -W1 10.2.0.2
a ping -c1 -W1 fd02::2
a ping -c1 -W1 10.3.0.3
a ping -c1 -W1 10.3.0.1
a net frame veth1 0180c200000000112233445500264242030000000001800100112233445500000004800200112233446680030100140002000f00
sleep 0.2
kill $sniffer
