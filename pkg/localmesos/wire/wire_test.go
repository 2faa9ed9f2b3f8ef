package wire
import ("testing";"fmt";"github.com/mesos/mesos-go/api/v1/lib/scheduler")
func TestX(t *testing.T){
 s,err:=NewSchema(); if err!=nil{t.Fatal(err)}
 c:=new(scheduler.Call)
 p,err:=s.Decode(JSON,[]byte(`{"type":"ACCEPT","framework_id":{"value":"x"},"accept":{"filters":{},"operations":[{"type":"LAUNCH_GROUP","launch_group":{"executor":{"executor_id":{"value":"e"},"command":{"value":"x"}},"task_group":{"tasks":[{"limits":{"cpus":{"value":"Infinity"}},"name":"a","task_id":{"value":"x"},"agent_id":{"value":"b"}}]}}}]}}`),c,"Call")
 fmt.Println(p.Has("type"),err,c)
 b,err:=s.Encode(JSON,c)
 fmt.Println(string(b),err)
 _,err=s.Decode(JSON,[]byte(`{"type":"ACCEPT","framework_id":{"value":"x"},"accept":{"operations":[{"type":"LAUNCH_GROUP","launch_group":{"executor":{"executor_id":{"value":"e"},"command":{"value":"x"}},"task_group":{"tasks":[{"limits":{"cpus":{"value":"Infinity"}}}]}}}]}}`),c,"Call")
 fmt.Println(err)
}
